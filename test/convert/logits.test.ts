/** From a checkpoint to the logits of its models, against float64 logits that nothing here computed. */
import {buildModel, type Emit, emitNames, emits} from '../../src/convert/build.js';
import {type Case, fixtureCases, GOLDENS, goldenCases} from '../cases.js';
import {expectLogits} from '../close.js';
import {describeShared} from '../shared.js';
import {logitsOf} from './run-model.js';

/** Reached on the goldens: 6.5e-6 minimal, 4.1e-6 training form, both on ResNet-34. */
const BOUND = 1e-5;
const because = 'float32 layers and one rounding of each weight, against float64';

async function expectForms(c: Case, forms: readonly Emit[]): Promise<void> {
  const recognised = c.recognise();
  for (const emit of forms) {
    const {model} = await buildModel(recognised, emit);
    const {data} = await logitsOf(model, c.images);
    expectLogits(data, c.logits[emits[emit].role], BOUND, because, emit);
  }
}

describe('every form of every fixture', () => {
  test.each(fixtureCases)('%s', (_, open) => expectForms(open(), emitNames));
});

describeShared(GOLDENS, 'every form of every golden', () => {
  test.each(goldenCases)('%s', (_, open) => expectForms(open(), emitNames));
});
