/** What the `datasets` library of Hugging Face writes about columns: which hold images, and what the classes of labels are called. */

export interface HubFeatures {
  /** Columns of images. */
  readonly images: readonly string[];
  /** Of columns of labels, the names of the classes in label order. */
  readonly classes: ReadonlyMap<string, readonly string[]>;
}

/** Of the text under the key `huggingface`; what is not as it should be says nothing. */
export function hubFeatures(text: string | undefined): HubFeatures {
  const images: string[] = [];
  const classes = new Map<string, readonly string[]>();
  for (const [column, feature] of Object.entries(featuresIn(text))) {
    if (typeof feature !== 'object' || feature === null) continue;
    const {_type: type, names} = feature as {_type?: unknown; names?: unknown};
    if (type === 'Image') images.push(column);
    const areNames = Array.isArray(names) && names.length > 0 && names.every((name) => typeof name === 'string');
    if (type === 'ClassLabel' && areNames) classes.set(column, names as string[]);
  }
  return {images, classes};
}

function featuresIn(text: string | undefined): object {
  try {
    const {info} = JSON.parse(text ?? '{}') as {info?: {features?: unknown}};
    return typeof info?.features === 'object' && info.features !== null ? info.features : {};
  } catch {
    return {};
  }
}
