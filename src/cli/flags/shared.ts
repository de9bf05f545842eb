/** Flags that commands share. */
import {CLIError} from '@oclif/core/errors';
import * as Flags from '@oclif/core/flags';
import type {InferredFlags} from '@oclif/core/interfaces';
import {printableJson} from '../../core/printable.js';
import {stemChoices} from '../../models/families/family.js';
import {archNames, families} from '../../models/families/index.js';
import type {RecogniseOptions} from '../../models/recognise.js';
import {exitCodes} from '../exit-codes.js';

/** Prints the unpickler's allow-list instead of running the command. */
const listAllowed = Flags.boolean({
  description: 'print every name that a pickle may mention, and stop',
  parse: async (value, command) => {
    if (!value) return value;
    const {allowedGlobals} = await import('../../checkpoint/pickle-globals.js');
    const list = [...allowedGlobals.values()].map(({module, name, becomes}) => ({module, name, becomes}));
    if (command.argv.includes('--json')) process.stdout.write(`${printableJson(list, 2)}\n`);
    else for (const {module, name, becomes} of list) command.log(`${module}.${name}: ${becomes}`);
    await new Promise((resolve) => process.stdout.write('', resolve)); // a full disk is told before the process ends
    return command.exit(0);
  },
});

/** It left out layers that take part in the computation, too. */
const ignoreUnknown = Flags.boolean({
  description: 'gone: see --ignore',
  hidden: true,
  parse: async () => {
    const way = "name what may be left out: --ignore 'aux_head.*' (repeatable)";
    throw new CLIError(`--ignore-unknown is gone: it dropped tensors that take part in the computation; ${way}`, {
      exit: exitCodes.usage,
    });
  },
});

/** What the tensors may leave open. */
export const recogniseFlags = {
  ema: Flags.boolean({description: 'use the weights that were averaged during training (EMA, SWA)', helpGroup: 'network'}),
  key: Flags.string({
    description: 'the state dict in the file that is meant, such as net or checkpoint.model; gpd inspect lists them',
    helpValue: 'KEY',
    helpGroup: 'network',
  }),
  prefix: Flags.string({
    description:
      'the part of the file that is meant, where several networks stand in it: student. (what their names begin with)',
    helpValue: 'PREFIX',
    helpGroup: 'network',
  }),
  ratio: Flags.integer({
    description: 'how much wider the teacher is, where the file does not say',
    min: 1,
    helpValue: 'N',
    helpGroup: 'network',
  }),
  arch: Flags.option({
    options: [...new Set([...archNames, ...families.map(({name}) => name)])],
    description: 'the network that is expected; an error if it is another',
    helpValue: 'NAME',
    helpGroup: 'network',
  })(),
  heads: Flags.integer({
    description: 'attention heads of each stage, for an RVT of unpublished width, separated by commas',
    multiple: true,
    multipleNonGreedy: true,
    delimiter: ',',
    min: 1,
    helpValue: 'N',
    helpGroup: 'network',
  }),
  stem: Flags.option({
    options: stemChoices,
    description: 'of a ResNet: stride of the first convolution, and whether a max pool follows; no tensor says it',
    helpGroup: 'network',
  })(),
  'image-size': Flags.integer({
    description: 'pixels a side, where it is not the published size',
    min: 1,
    helpValue: 'N',
    helpGroup: 'network',
  }),
  ignore: Flags.string({
    description: 'leave out tensors beside the network by name, * for any characters; repeatable; every result says so',
    multiple: true,
    multipleNonGreedy: true,
    helpValue: 'PATTERN',
    helpGroup: 'network',
  }),
  'ignore-unknown': ignoreUnknown,
  'list-allowed': listAllowed,
};

type RecogniseFlags = InferredFlags<typeof recogniseFlags>;

export const recogniseOptions = (flags: RecogniseFlags): RecogniseOptions & {ema: boolean; key: string | undefined} => ({
  ema: flags.ema,
  prefix: flags.prefix,
  key: flags.key,
  ratio: flags.ratio,
  arch: flags.arch,
  heads: flags.heads,
  stem: flags.stem,
  imageSize: flags['image-size'],
  ignore: flags.ignore,
});
