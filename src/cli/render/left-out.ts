/** What a person reads last where tensors of a checkpoint were left out by name: another network was measured than the file holds. */
import {printable} from '../../core/printable.js';
import {withoutText} from '../../models/unknown-keys.js';
import type {Style} from '../terminal/style.js';
import {wrapText} from '../terminal/wrap.js';

const WIDTH = 80;
/** Longer lists are in `--json`. */
const MAX_LISTED = 8;

export const renderLeftOut = (models: readonly {name: string; without: readonly string[]}[], style: Style): string[] =>
  models
    .filter(({without}) => without.length > 0)
    .flatMap(({name, without}) => wrapText(`${printable(name)} is ${withoutText(without.map(printable), MAX_LISTED)}`, WIDTH))
    .map(style.warn);
