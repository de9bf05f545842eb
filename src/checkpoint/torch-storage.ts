/** Persistent ids of PyTorch pickles: ('storage', class, key, location, count[, view]) → a StorageRef, one per key. */
import {GpdError} from '../core/error.js';
import type {PersistentLoad, PickleMachine} from './pickle-machine.js';
import {type GlobalName, isKind, type PlainData, type StorageRef, type Tuple, typeName} from './plain-data.js';
import {storageDtypes} from './torch-globals.js';

export interface StorageRegistry {
  readonly storages: ReadonlyMap<string, StorageRef>;
  readonly load: PersistentLoad;
}

/** All storages that one pickle mentions. The device ('cuda:0') is where the tensor once was; it has no meaning here. */
export function storageRegistry(): StorageRegistry {
  const storages = new Map<string, StorageRef>();
  const load: PersistentLoad = (id, machine) => {
    const named = classOf(id);
    if (named) return named;
    const ref = storageRef(id, machine);
    const known = storages.get(ref.key);
    if (!known) {
      storages.set(ref.key, ref);
      return ref;
    }
    if (known.dtype !== ref.dtype || known.count !== ref.count) {
      throw machine.invalid(
        `storage '${ref.key}' is ${known.count} × ${known.dtype} in one place, ${ref.count} × ${ref.dtype} in another`,
      );
    }
    return known;
  };
  return {storages, load};
}

/** ('module', class, file, source): how PyTorch before 1.6 wrote the class of a module, with its code. The code is not looked at. */
function classOf({items: [kind, of]}: Tuple): GlobalName | undefined {
  return kind === 'module' && isKind(of, 'global') ? of : undefined;
}

function storageRef(id: Tuple, m: PickleMachine): StorageRef {
  const [kind, storageClass, key, location, count, view] = id.items;
  if (kind === 'module')
    throw m.unsupported('a whole model saved with its code', 'save model.state_dict() instead, and convert that');
  if (kind !== 'storage' || id.items.length < 5 || id.items.length > 6)
    throw m.invalid('a persistent id that is not a storage');
  if (typeof key !== 'string' || typeof location !== 'string')
    throw m.invalid('a storage whose key or location is not a string');
  if (typeof count !== 'number' || !Number.isSafeInteger(count) || count < 0)
    throw m.invalid(`storage '${key}' with a count of ${String(count)}`);
  if (view !== undefined && view !== null) throw m.unsupported('a storage that is a view of another one (PyTorch before 0.4)');
  return {kind: 'storage', key, count, dtype: storageDtype(storageClass!, m)};
}

function storageDtype(storageClass: PlainData, m: PickleMachine) {
  if (!isKind(storageClass, 'global')) throw m.invalid(`a storage whose class is a ${typeName(storageClass)}`);
  if (!storageDtypes.has(storageClass.name)) throw m.invalid(`'${storageClass.name}' is not a storage class`);
  const dtype = storageDtypes.get(storageClass.name);
  if (!dtype) {
    throw m.fail(
      'DTYPE_UNSUPPORTED',
      `tensors over ${storageClass.name} (complex or quantised) are not read`,
      'save the checkpoint with float tensors',
    );
  }
  return dtype;
}

export const bigEndian = (name: string): GpdError =>
  new GpdError('DTYPE_UNSUPPORTED', `${name}: was written on a big-endian machine`, {
    at: name,
    hint: 'load and save it again with PyTorch on an ordinary (little-endian) machine',
  });
