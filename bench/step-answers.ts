/** Our end of the lines that `Side` writes: numbers of steps, `peak` for the most memory ever held, `memory` for what is held now. */
import {readFileSync} from 'node:fs';
import {createInterface} from 'node:readline';
import * as tf from '@tensorflow/tfjs-core';

/** Of this program alone: what a parent held when it started a process counts in getrusage(). */
const peakBytes = () => 1024 * Number(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]);

function memory() {
  const {numTensors, numDataBuffers, numBytes} = tf.memory();
  return {rssBytes: process.memoryUsage.rss(), tensors: numTensors, data: numDataBuffers, bytes: numBytes};
}

/** Answers each line on stdin with a line of JSON. A step gives its loss; `parameters` are the numbers it trains. */
export async function answerLines(step: () => number | Promise<number>, parameters?: number): Promise<void> {
  for await (const line of createInterface({input: process.stdin})) {
    if (line === 'peak') console.log(JSON.stringify({peakBytes: peakBytes(), parameters}));
    else if (line === 'memory') console.log(JSON.stringify(memory()));
    else {
      const start = performance.now();
      let loss = Number.NaN;
      for (let i = 0; i < Number(line); i++) loss = await step();
      console.log(JSON.stringify({seconds: (performance.now() - start) / 1000, loss}));
    }
  }
}
