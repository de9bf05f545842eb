/** Before text → rules → expected text: how a rule is tested. */
import {checkModel} from '../../src/onnx/check.js';
import type {Model} from '../../src/onnx/graph.js';
import {parseGraph, parseModel} from '../../src/onnx/parse-text.js';
import type {Rule} from '../../src/onnx/pattern.js';
import {applyRules} from '../../src/onnx/rewrite.js';
import {printGraph} from '../../src/onnx/text.js';

export const lines = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);

/** The number of changes and the text are as expected, the result is well formed, and a second run changes nothing. */
export function expectRewrite(rules: readonly Rule[], before: string, after: string, changes: number): Model {
  const model = parseModel(before);
  expect(applyRules(model.graph, rules).changes).toBe(changes);
  expect(lines(printGraph(model.graph))).toEqual(lines(printGraph(parseGraph(after))));
  expect(checkModel(model)).toEqual([]);
  expect(applyRules(model.graph, rules).changes).toBe(0);
  return model;
}
