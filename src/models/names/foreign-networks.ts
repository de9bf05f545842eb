/** THE table of networks that are known by their names and not read here: what a refusal says that a file is. The first that fits. */

export interface ForeignNetwork {
  readonly what: string;
  /** What to do about it; default: nothing but to take another network. */
  readonly advice?: string;
  /** All of these occur among the keys, each in any of them. */
  readonly signs: readonly RegExp[];
}

const NOT_YET = 'its re-parameterisation is not read yet: give the weights that its own program deploys, in a known network';

export const foreignNetworks: readonly ForeignNetwork[] = [
  {
    what: 'a network flattened by FSDP, whose tensors have lost their names and shapes',
    advice: 'save it whole: with FSDP.state_dict_type(model, StateDictType.FULL_STATE_DICT), then model.state_dict()',
    signs: [/(^|\.)_?flat_param(_\d+)?$/],
  },
  {
    what: "weights quantised by PyTorch's own tools",
    advice: 'give the float32 checkpoint; gpd export --precision int8 quantises it',
    signs: [/(^|\.)_packed_params(\.|$)|(^|\.)(zero_point|scale)$/, /(^|\.)(zero_point|_packed_params)/],
  },
  {
    what: 'an adapter of a fine-tuning (LoRA) without its network',
    advice: 'merge it into the network first (merge_and_unload), and save that',
    signs: [/lora_[AB]/],
  },
  {what: 'a network of the OREPA repository, under its own names', advice: NOT_YET, signs: [/weight_orepa_/]},
  {what: 'a RepVGG', advice: NOT_YET, signs: [/(^|\.)rbr_(dense|reparam|identity|1x1|origin)\b/]},
  {what: 'a network of Diverse Branch Blocks (DBB)', advice: NOT_YET, signs: [/(^|\.)dbb_(origin|avg|1x1|reparam)/]},
  {what: 'an ACNet', advice: NOT_YET, signs: [/(^|\.)(ver|hor)_conv\./, /(^|\.)square_conv\./]},
  {what: 'a RepLKNet', advice: NOT_YET, signs: [/(^|\.)(lkb_origin|lkb_reparam|small_conv)\./]},
  {
    what: 'a MobileOne or FastViT',
    advice: NOT_YET,
    signs: [/(^|\.)(reparam_conv|conv_kxk|rbr_conv|conv_scale|rbr_scale|rbr_skip)(\.|$)/],
  },
  {
    what: 'a CLIP or another network of images and texts',
    signs: [/(^|\.)logit_scale$/, /(^|\.)(visual|vision_model|image_encoder)\./],
  },
  {what: 'a Swin transformer', signs: [/relative_position_bias_table$/]},
  {what: 'a DeiT or another distilled vision transformer', signs: [/(^|\.)(dist_token|distillation_token)$/]},
  {
    what: 'a vision transformer (ViT)',
    signs: [/(^|\.)(cls_token|class_token)$/, /(^|\.)(pos_?embed\w*|position_embeddings|pos_embedding)$/],
  },
  {what: 'a language model', signs: [/(^|\.)(word_embeddings|embed_tokens|wte|token_embedding)\.weight$/]},
  {what: 'a recurrent network', signs: [/(^|\.)weight_(ih|hh)_l\d/]},
  {what: 'a ConvNeXt', signs: [/(^|\.)(dwconv|conv_dw)\./, /(^|\.)(pwconv1|mlp\.fc1)\./]},
  {
    what: 'an EfficientNet or MobileNetV3 (inverted residuals with squeeze-and-excitation)',
    signs: [/(^|\.)_?blocks\.|(^|\.)features\.\d+\.block\./, /(^|\.)(se|_se_reduce|_se_expand|conv_reduce|fc1)\b/],
  },
  {what: 'a DenseNet', signs: [/denseblock\d|dense\d+\.\d+\.conv/]},
  {what: 'an Inception network', signs: [/(^|\.)(Mixed_\d|inception\d|Conv2d_1a)/]},
  {what: 'a SqueezeNet', signs: [/(^|\.)expand1x1\./]},
  {what: 'a ShuffleNet', signs: [/(^|\.)stage\d\.\d+\.branch[12]/]},
  {what: 'a RegNet', signs: [/(^|\.)(trunk_output\.block\d|s1\.b1\.)/]},
  {what: 'an HRNet', signs: [/(^|\.)fuse_layers\./]},
  {
    what: 'a wide ResNet for CIFAR (its blocks normalise before they convolve)',
    signs: [/(^|\.)block\d\.layer\.\d+\.(bn|conv)\d/],
  },
  {what: 'a detector (YOLO)', signs: [/(^|\.)model\.\d+\.(cv\d|m\.\d+\.cv\d)/]},
  {what: 'a detector of two stages', signs: [/(^|\.)(rpn|roi_heads?)\./]},
  {what: 'a VGG or AlexNet', signs: [/(^|\.)features\.\d+\.(weight|bias)$/, /(^|\.)classifier\.[0-6]\.weight$/]},
];

/** What these keys are of. */
export function foreignNetworkOf(keys: readonly string[]): ForeignNetwork | undefined {
  return foreignNetworks.find(({signs}) => signs.every((sign) => keys.some((key) => sign.test(key))));
}
