/** THE table of kernels that are lowered. Every other kernel runs on TensorFlow.js's own cpu code. */
import type {KernelEntry} from '../kernel-entry.js';
import {elementwiseKernels} from './elementwise.js';
import {shapeKernels} from './shape.js';

export const kernels: ReadonlyMap<string, KernelEntry> = new Map(Object.entries({...elementwiseKernels, ...shapeKernels}));
