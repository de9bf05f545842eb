/** An error for a program. */
import {GpdError} from '../core/error.js';
import {exitCodeOf, exitCodes} from './exit-codes.js';

/** `{code, message, at?, hint?, data?}`. Bad usage has the code USAGE, a bug the code BUG and its stack. */
export function errorJson(error: unknown): object {
  if (error instanceof GpdError) {
    const {code, message, at, hint, data} = error;
    return {code, message, ...(at !== undefined && {at}), ...(hint !== undefined && {hint}), ...(data && {data})};
  }
  const {message = String(error), stack} = error as Partial<Error>;
  return exitCodeOf(error) === exitCodes.bug ? {code: 'BUG', message, stack} : {code: 'USAGE', message};
}
