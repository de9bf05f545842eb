/**
 * Checkpoints as people have them (`cases/checkpoints` of the shared folder), each converted to ONNX and run: the logits beside them were
 * computed in float64 by what wrote them. A row is a file and what must come of it; what is refused says what it is and what to do.
 */
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {type ConversionReport, type ConvertOptions, convertFile} from '../../src/convert/convert.js';
import {fileSource} from '../../src/core/bytes.js';
import {type ErrorCode, GpdError} from '../../src/core/error.js';
import type {StateDict} from '../../src/core/tensor.js';
import {expectLogits} from '../close.js';
import {describeShared, shared} from '../shared.js';
import {logitsOf} from './run-model.js';

const CASES = 'cases/checkpoints';

/** The stem of the `.io.safetensors` whose logits must come out; a file without one must convert and be proven. */
type Logits = '00_plain' | 'ema' | 'c03_cifar_stem' | 'c15e_option_b' | 'proven';
interface Row {
  file: string;
  flags?: Omit<ConvertOptions, 'outputs'>;
  expect: Logits | {code: ErrorCode; says: RegExp};
  /** Where it is not 1e-5: the weights in the file are rounded. */
  bound?: number;
  /** In the warnings of the conversion. */
  warns?: RegExp;
}

const same = (...files: string[]): Row[] => files.map((file) => ({file, expect: '00_plain'}));

/** State dicts under other keys, objects beside them, containers. */
const keys: Row[] = [
  ...same('00_plain.pth', 'a01_ddp_module.pth', 'a07_model_state_dict.pth', 'a08_key_ema.pth', 'a08_key_model_state.pth'),
  ...same(
    'a08_key_net.pth',
    'a08_key_state.pth',
    'a08_key_weights.pth',
    'a09_nested.pth',
    'a10_tuple.pth',
    'a17_ema_other_keys.pth',
  ),
  ...same('b01d_npfloat16_uint.pth.tar', 'b01f_npuint32.pth.tar', 'b02_posixpath.pth', 'b03_torch_dtype.pth', 'b03b_enum.pth'),
  ...same(
    'b04_numpy_array.pth',
    'b04c_python_rng.pth',
    'b06_defaultdict.pth',
    'b07_datetime.pth',
    'b08_complex_slice_range.pth',
  ),
  ...same('b09_simplenamespace.pth', 'b10_easydict.pth', 'b11_optimizer_object.pth', 'b11b_scheduler_object.pth'),
  ...same('b11d_gradscaler.pth', 'b15_legacy.pth', 'b15_legacy_proto5.pth', 'b15_proto5.pth', 'b16_parameters.pth'),
  ...same('b17b_views.pth', 'b19_no_num_batches.pth', 'e01_deepspeed_module.pt', 'e07_long_bytes.pth', 'e07b_bytes_short.pth'),
  ...same('e15_model_is_string.pth', 'e16_empty_state_dict_then_model.pth', 'e17_extra_scalar_in_state_dict.pth'),
  ...same('g04_omegaconf.ckpt', 'g06_lightning_attributedict.ckpt'),
  ...same('g01_config_dataclass_of_main.pth', 'g02_meter_of_main.pth', 'g03_config_of_models_package.pth'),
  ...same('g11_transforms_in_checkpoint.pth', 'g12_class_to_idx.pth', 'g13_weights_enum.pth'),
  {
    file: 'a14_ema_module.pth',
    expect: '00_plain',
    warns: /averaged weights \(EMA\) in 'state_dict_ema' are left aside; --ema uses them/,
  },
  {file: 'a16_torchvision_reference_ema.pth', expect: '00_plain', warns: /'model_ema' are left aside/},
  {file: 'e21_ema_first_model_missing.pth', expect: 'ema', warns: /only weights in the file are averaged ones/},
  ...['a14_ema_module.pth', 'a16_torchvision_reference_ema.pth', 'a17_ema_other_keys.pth'].map(
    (file): Row => ({file, flags: {ema: true}, expect: 'ema'}),
  ),
  {file: 'e21_ema_first_model_missing.pth', flags: {ema: true}, expect: 'ema'},
  {file: 'e14b_model_weights_and_best.pth', expect: {code: 'ARCH_AMBIGUOUS', says: /--key model, or --key best_model/}},
  {file: 'e14b_model_weights_and_best.pth', flags: {key: 'model'}, expect: '00_plain'},
  {file: 'e14b_model_weights_and_best.pth', flags: {key: 'best_model'}, expect: 'ema'},
  {file: 'e04_dino_teacher.pth', expect: {code: 'ARCH_AMBIGUOUS', says: /--key student, or --key teacher/}},
  {
    file: 'b13c_dict_of_model.pth',
    expect: {code: 'PICKLE_UNSUPPORTED', says: /whole model.*__main__.Narrow[\s\S]*state_dict\(\)/},
  },
  {file: 'b14_torchscript.pt', expect: {code: 'PICKLE_UNSUPPORTED', says: /TorchScript[\s\S]*torch.jit.load/}},
  {file: 'b21_quantised_tensor.pth', expect: {code: 'PICKLE_UNSUPPORTED', says: /quantised/}},
  {file: 'b21b_sparse.pth', expect: {code: 'PICKLE_UNSUPPORTED', says: /sparse[\s\S]*to_dense/}},
  {
    file: 'b28_tensor_subclass.pth',
    expect: {code: 'PICKLE_UNSUPPORTED', says: /'fc.weight' is a tensor of the class mylib.Sub/},
  },
  {file: 'b18_f16.pth', expect: '00_plain', bound: 2e-3},
  {file: 'b18_bf16.pth', expect: '00_plain', bound: 2e-2},
];

/** What is no checkpoint in one file that is read here: each says what it is, and what to do. */
const refused = (file: string, says: RegExp, code: ErrorCode = 'FORMAT_UNKNOWN'): Row => ({file, expect: {code, says}});
const containers: Row[] = [
  {file: 'e10_hf_folder', expect: '00_plain'},
  refused('b23_real_tar.pth.tar', /tar archive[\s\S]*unpack it/),
  refused('b23b_real_tar_gz.tar.gz', /gzip[\s\S]*gunzip/),
  refused('b23d_zip_of_pth.zip', /zip archive around a checkpoint[\s\S]*unpack it/),
  refused('b24_dcp_folder', /distributed checkpoint[\s\S]*format_utils dcp_to_torch \S*b24_dcp_folder merged.pth/),
  refused('b25_lfs_pointer.pth', /Git LFS pointer[\s\S]*git lfs pull/),
  refused('b25b_html.pth', /web page/),
  refused('b25c_empty.pth', /is empty/),
  refused('b25d_truncated.pth', /no central directory/, 'CHECKPOINT_TRUNCATED'),
  refused('b26b_weights.npz', /numpy .npz archive/),
  refused('b26c_array.npy', /numpy array/),
  refused('b26d_keras.h5', /HDF5/),
  refused('b26e_bare_pickle_of_tensors.pkl', /bare pickle[\s\S]*torch.save/),
  refused('b27_model.safetensors.index.json', /model-00001-of-00002.safetensors is not beside it/, 'FILE_UNREADABLE'),
  refused('e08_export_27.pt2', /torch.export[\s\S]*torch.export.load/),
  refused('e08b_export_29.pt2', /torch.export[\s\S]*torch.export.load/),
  refused('e09_torchserve.mar', /TorchServe[\s\S]*unzip/),
  refused('e11_fsdp_flat.pth', /flattened by FSDP[\s\S]*FULL_STATE_DICT/, 'ARCH_UNKNOWN'),
];

/** Prefixes and wrappers inside a state dict. */
const names: Row[] = [
  ...same('a02_orig_mod.pth', 'a02b_orig_mod_bare.pth', 'a03_module_orig_mod.pth', 'a04_lightning.ckpt'),
  ...same('a04b_lightning_with_criterion.ckpt', 'a04c_lightning_net.ckpt', 'a06_mmcls_backbone_head.pth'),
  ...same('a12b_mdistiller_student.pth', 'a19_module_twice.pth', 'c01_hf_resnet.safetensors', 'c01b_hf_pytorch_model.bin'),
  ...same('c01c_hf_timmwrapper.safetensors', 'c02_timm_resnet18.safetensors', 'c20_thop.pth', 'c25_fastai.pth'),
  ...same('e05_normalizer_sequential.pth', 'e06_tensor_with_attribute.pth', 'e11b_fsdp_prefix.pth'),
  ...same('e12_activation_checkpoint.pth', 'e18_normalisation_buffers.pth', 'e22_num_batches_1d.pth'),
  {
    file: 'a12_mdistiller_student_teacher.pth',
    expect: {code: 'ARCH_AMBIGUOUS', says: /--prefix student\., or .*--prefix teacher\./},
  },
  {file: 'a12_mdistiller_student_teacher.pth', flags: {prefix: 'student.'}, expect: '00_plain'},
  {file: 'a12_mdistiller_student_teacher.pth', flags: {prefix: 'teacher.'}, expect: 'proven'},
  {file: 'a11b_moco_encoder_q.pth', expect: {code: 'ARCH_AMBIGUOUS', says: /--prefix encoder_q\., or .*--prefix encoder_k\./}},
  {file: 'a11b_moco_encoder_q.pth', flags: {prefix: 'encoder_q.'}, expect: '00_plain'},
  {file: 'a11b_moco_encoder_q.pth', flags: {prefix: 'encoder_k.'}, expect: 'proven'},
  {file: 'e04_dino_teacher.pth', flags: {key: 'student'}, expect: '00_plain'},
  {file: 'e04_dino_teacher.pth', flags: {key: 'teacher'}, expect: 'proven'},
  {file: 'f02_normalisation_buffers.pth', expect: 'proven'},
  {
    file: 'a11_simclr_encoder.pth',
    expect: {code: 'ARCH_AMBIGUOUS', says: /projection, and no classifier[\s\S]*--prefix encoder\./},
  },
  {file: 'b20_parameters_only.pth', expect: {code: 'KEY_MISSING', says: /no running statistics[\s\S]*GroupNorm/}},
  {file: 'e25_groupnorm.pth', expect: {code: 'KEY_MISSING', says: /no running statistics[\s\S]*GroupNorm/}},
  {file: 'c04e_fc_mlp.pth', expect: {code: 'ARCH_UNKNOWN', says: /'fc\.0\.weight' \[16, 32\], 'fc\.3\.weight' \[10, 16\]/}},
  {file: 'c07_backbone_only.pth', expect: {code: 'ARCH_UNKNOWN', says: /backbone of a ResNet without a classifier/}},
  {file: 'c13_seresnet18.pth', expect: {code: 'KEY_UNKNOWN', says: /squeeze-and-excitation/}},
  {
    file: 'c18b_pruned_channels.pth',
    expect: {code: 'SHAPE_MISMATCH', says: /channels were cut[\s\S]*'layer1\.0\.conv1' has 3 outputs/},
  },
  {file: 'c21b_negative_var.pth', expect: {code: 'WEIGHTS_NOT_FINITE', says: /c21b_negative_var\.pth: 'bn1\.running_var'/}},
  {file: 'c23_vit.pth', expect: {code: 'ARCH_UNKNOWN', says: /a vision transformer/}},
  {file: 'c24_repvgg.pth', expect: {code: 'ARCH_UNKNOWN', says: /a RepVGG[\s\S]*not read yet/}},
  {file: 'c28_orepa_repository_names.pth', expect: {code: 'ARCH_UNKNOWN', says: /OREPA repository[\s\S]*not read yet/}},
  {file: 'c29_repvgg_train.pth', expect: {code: 'ARCH_UNKNOWN', says: /a RepVGG[\s\S]*not read yet/}},
  {file: 'e11_fsdp_flat.pth', expect: {code: 'ARCH_UNKNOWN', says: /flattened by FSDP[\s\S]*FULL_STATE_DICT/}},
  {
    file: 'e20_feature_proj.pth',
    expect: {code: 'KEY_UNKNOWN', says: /connector of a distillation[\s\S]*--ignore 'connector\.\*'/},
  },
];

/** Heads, stems, shortcuts, families. */
const proven = (imageSize: number, ...files: string[]): Row[] =>
  files.map((file) => ({file, flags: {imageSize}, expect: 'proven'}));
const shapes: Row[] = [
  ...same('c04_fc_sequential.pth', 'c04b_classifier.pth', 'c04d_head.pth', 'e23_fc_2d_conv_head.pth'),
  ...same('e24_conv_with_bias_and_bn.pth', 'c18_prune_mask.pth'),
  {file: 'c03_cifar_stem_resnet18.pth', expect: 'c03_cifar_stem'},
  {file: 'c15e_option_b_with_statistics.pth', expect: 'c15e_option_b'},
  ...proven(32, 'c15_kuangliu_resnet18.pth', 'c15a_kuangliu_resnet18_bare.pth', 'c15b_cifar_resnet20_option_b.pth'),
  ...proven(32, 'c15c_mdistiller_resnet20.pth', 'c15d_cifar_resnet20_option_a_fc.pth'),
  ...proven(64, 'c08_gray.pth', 'c08b_rgba.pth'),
  ...proven(64, 'c06_fc_no_bias.pth', 'c18c_weight_norm.pth', 'c21_zero_var.pth', 'c27_resnet10.pth'),
  ...proven(64, 'c27b_resnet26.pth', 'f03_fused.pth', 'f04_partly_fused.pth', 'f05_bn_no_affine.pth', 'f09_tiny_logits.pth'),
  {file: 'c05_classes1.pth', expect: 'proven', bound: 1e-4}, // one logit, near zero on some of the images
  {file: 'c02b_resnet50d.pth', expect: {code: 'ARCH_UNKNOWN', says: /deep stem[\s\S]*export it to ONNX/}},
];

describeShared(CASES, 'checkpoints of other programs', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'gpd-cases-'));
  });
  afterAll(() => rmSync(folder, {recursive: true, force: true}));

  const student = () => join(folder, 'student.onnx');
  const inputAndLogits = (logits: Logits): StateDict =>
    openCheckpoint(fileSource(shared(CASES, `${logits}.io.safetensors`))).stateDict;

  /** At the size of the images beside it. */
  function convert({file, flags, expect: wanted}: Row): Promise<ConversionReport> {
    const known = typeof wanted === 'string' && wanted !== 'proven';
    const imageSize = known ? inputAndLogits(wanted).get('input')!.shape[2] : 64;
    return convertFile(shared(CASES, file), {imageSize, ...flags, outputs: {student: student()}, force: true});
  }

  async function expectLogitsOf(logits: Exclude<Logits, 'proven'>, bound: number): Promise<void> {
    const known = inputAndLogits(logits);
    const {data} = await logitsOf(student(), known.get('input')!.read());
    const expected = known.get('logits_f64')!.read().data as Float64Array;
    expectLogits(data, expected, bound, 'float32 layers and one rounding of each weight, against float64');
  }

  const shown = ({file, flags = {}}: Row) =>
    [file, ...Object.entries(flags).map(([name, value]) => `${name} ${String(value)}`)].join(', ');
  test.each([...keys, ...containers, ...names, ...shapes].map((row) => [shown(row), row] as const))('%s', async (_, row) => {
    const {expect: wanted, bound = 1e-5, warns} = row;
    if (typeof wanted === 'object') {
      const error = await convert(row).catch((e: unknown) => e);
      if (!(error instanceof GpdError)) throw error instanceof Error ? error : new Error('it was converted');
      expect([error.code, `${error.message}\n${error.hint}`]).toEqual([wanted.code, expect.stringMatching(wanted.says)]);
      return;
    }
    const {warnings, outputs} = await convert(row);
    if (warns) expect(warnings.join('\n')).toMatch(warns);
    expect(outputs[0]!.proof!.relative).toBeLessThan(wanted === 'proven' ? bound : 1e-5); // float32 on both sides
    if (wanted !== 'proven') await expectLogitsOf(wanted, bound);
  });
});
