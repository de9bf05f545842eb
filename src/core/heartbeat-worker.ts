/** The thread that beats while the main one computes, which it may do for minutes without a pause. */
import {workerData} from 'node:worker_threads';
import {type Heartbeat, startBeating} from './heartbeat.js';

startBeating(workerData as Heartbeat);
