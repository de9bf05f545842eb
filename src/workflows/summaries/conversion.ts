/** A conversion as plain data: the result of `gpd convert --json`. docs/formats.md describes it for users. */
import type {ConversionReport, OutputReport} from '../../convert/convert.js';
import {type NetworkSummary, summariseNetwork} from './network.js';

export interface ConversionSummary extends Omit<ConversionReport, 'recognised' | 'outputs'> {
  network: NetworkSummary;
  outputs: OutputSummary[];
}
export interface OutputSummary extends Omit<OutputReport, 'size'> {
  parameters: number;
  weightBytes: number;
  nodes: number;
  /** Multiply-accumulates for one image. */
  macs: number;
}

export const summariseConversion = ({input, recognised, outputs, ...rest}: ConversionReport): ConversionSummary => ({
  input,
  network: summariseNetwork(recognised),
  ...rest,
  outputs: outputs.map(summariseOutput),
});

const summariseOutput = ({size: {parameters, weightBytes, nodes = 0, macs}, ...output}: OutputReport): OutputSummary => ({
  ...output,
  parameters,
  weightBytes,
  nodes,
  macs,
});
