/** Options of the original that have no counterpart in `options.ts`, with the reason: docs/training.md lists both. */

export interface Dropped {
  readonly program: 'CNN' | 'RVT' | 'both';
  readonly why: string;
}

const nothing = 'does nothing in the original either';

export const droppedOptions = {
  '--num_branches_orepa': {
    program: 'CNN',
    why: 'does nothing: it is lost on the way to every convolution; all six branches are summed',
  },
  '--resume, --resume_path, --start_epoch, --no-resume-opt, --not_load_ema': {
    program: 'both',
    why: '`--resume` goes on with the run in `--out`, all of it; a checkpoint of the original put there as last.pth.tar is one too; weights alone are `--initial`',
  },
  '--eval-metric': {program: 'CNN', why: 'accuracy is the only value that works there'},
  '--model-ema-force-cpu, --channels-last, --pin-mem, --no-prefetcher': {
    program: 'both',
    why: 'where and in which order memory lies is the backend’s business',
  },
  '--adaptive_lr': {
    program: 'CNN',
    why: 'not made: it scales the rate once by the losses of the untrained networks, and differently on every rank',
  },
  '--transformer-embedding-decay': {program: 'CNN', why: 'no network here has such parameters'},
  '--drop, --drop-path': {program: 'RVT', why: 'not made: 0 in every published run'},
  '--mixup-mode': {program: 'RVT', why: '`batch`, the default; `pair` and `elem` are not made'},
  '--sched tanh, step, plateau, poly; --decay-epochs, --decay-rate, --patience-epochs, --lr-noise…': {
    program: 'RVT',
    why: 'not made: every published run is `cosine`; `--schedule step` is the CNN programs’',
  },
  '--aa (AutoAugment, AugMix)': {program: 'RVT', why: 'not made: every published run is `rand-m9-mstd0.5-inc1`'},
  '--lr (as it is scaled)': {program: 'RVT', why: 'the original multiplies it by batch/512; `--lr` here is the rate itself'},
  '--batch-size (for each rank)': {program: 'RVT', why: '`--batch-size` is the whole batch, as in the CNN programs'},
  '--eval, --deploy, --deploy_model_path, --load_model_file_path with --eval': {
    program: 'RVT',
    why: '`gpd eval` and `gpd convert`',
  },
  '--inc_path, --ina_path, --inr_path, --insk_path, --cifarc_base_path, --fgsm_test, --pgd_test, --epsilon, --pgd-alpha': {
    program: 'RVT',
    why: 'measures of robustness are not made; images of any set are measured by `gpd eval`',
  },
  '--deepaugment, --deepaugment_base_path, --use_patch_aug': {program: 'RVT', why: 'not made: no published run uses them'},
  '--finetune': {program: 'RVT', why: 'reads position embeddings that no RVT has; `--pretrained`'},
  '--tensorboard_dir': {program: 'CNN', why: 'events lie in the folder of the run'},
  '--split_grad': {program: 'RVT', why: 'crashes in the original'},
  '--world_size, --rank, --local_rank, --nproc_per_node, --master_port, --dist-eval, --device': {
    program: 'both',
    why: 'one process; `--backend`',
  },
  '--lr-scheduler, --lr-warmup-method, --lr-warmup-decay, --lr-step-size, --lr-gamma, --lr-min, --first-epoch-lr-ratio, --clip-grad, --clip-large-lr':
    {program: 'CNN', why: nothing},
  '--amp, --apex-amp, --native-amp, --recovery-interval, --data_split_stride, --tiny_net_version, --tiny_loss_weight, --warmup-es-epoch':
    {program: 'CNN', why: nothing},
  '--mixup-alpha, --cutmix-alpha, --interpolation, --backend, --use-v2, --ra-sampler, --ra-reps, --weights, --expanded_loss_weight':
    {program: 'CNN', why: nothing},
  '--teacher-model, --teacher-path, --distillation-…, --aux-…, --noise-…, --extra-…, --temperature, --gamma, --threshold, --pretrained, --num-scales, --resplit and the others of its table':
    {program: 'RVT', why: nothing},
} as const satisfies Record<string, Dropped>;
