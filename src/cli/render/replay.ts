/** The replayed steps, for people: one line each. */
import type {ReplayReport} from '../../workflows/replay.js';
import {tableLines} from '../terminal/table.js';

const columns = ['epoch', 'lr', 'loss_expanded', 'total_loss', 'kd_loss', 'grad_norm'] as const;

export function renderReplay({steps, backend, precision}: ReplayReport): string[] {
  const rows = steps.map((s) => [s.step, ...columns.map((name) => s[name])].map((v) => String(Number(v.toPrecision(8)))));
  const aligned = ['step', ...columns].map(() => ({align: 'right'}) as const);
  return [`${steps.length} steps on ${backend} in ${precision}`, ...tableLines([['step', ...columns], ...rows], aligned)];
}
