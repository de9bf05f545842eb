/** Last block of each stage: `layer1.1`, … In a stage of one block the original has no map before the activation. */
export function stageFeatures(layers: readonly string[], activated: boolean): string[] {
  const blocks = layers.flatMap((name) => /^layer(\d+)\.(\d+)\.add$/.exec(name)?.slice(1).map(Number) ?? []);
  const lastOf = new Map<number, number>();
  for (let i = 0; i < blocks.length; i += 2) lastOf.set(blocks[i]!, blocks[i + 1]!);
  const stages = [...lastOf].map(([stage, block]) => `layer${stage}.${block}.${block > 0 && !activated ? 'add' : 'relu'}`);
  return [...stages, 'avgpool'];
}
