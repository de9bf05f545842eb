/** Whether a value depends on constants alone: an initializer, or nodes over such values. Folding will make it a constant. */
import type {Value} from './graph.js';

export function isConstantExpression(value: Value | undefined): boolean {
  const seen = new Set<Value>();
  const stack = [value];
  while (stack.length > 0) {
    const v = stack.pop();
    if (!v || seen.has(v)) continue;
    seen.add(v);
    if (v.initializer) continue;
    if (!v.producer) return false; // an input of the graph
    stack.push(...v.producer.inputs);
  }
  return true;
}
