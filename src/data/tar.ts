/** The index of a tar archive: one pass over its headers, contents stay in the file and are read by offset. */
import type {ByteSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {type FileSpan, indexed} from './data-file.js';
import {type Entry, isHidden, type Listing} from './entries.js';
import {isEmptyBlock, parsePax, parseTarHeader, TAR_BLOCK_BYTES, type TarHeader, whyUnsafeName} from './tar-header.js';
import {type DataWarning, warnings} from './warnings.js';

/** Real long names and pax headers take a few hundred bytes. */
const MAX_EXTENSION_BYTES = 1 << 20;
/** Headers are read in pieces of this size: several small images with their headers come at once, little is wasted on large ones. */
const PIECE_BYTES = 8192;

export interface TarEntry {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
}
export interface TarIndex {
  readonly files: readonly TarEntry[];
  readonly folders: readonly string[];
  readonly warnings: readonly DataWarning[];
}

const invalid = (
  archive: string,
  offset: number,
  problem: string,
  hint = 'the archive is damaged or incomplete: copy or make it again',
) => new GpdError('DATASET_INVALID', `${archive}: ${problem}`, {at: `${archive}@${offset}`, hint});

/** Headers through a small window: most reads are served from memory. */
function windowed(source: ByteSource): (offset: number, length: number) => Uint8Array {
  let start = 0;
  let piece = new Uint8Array(0);
  return (offset, length) => {
    if (offset < start || offset + length > start + piece.length) {
      start = offset;
      piece = source.read(offset, Math.min(Math.max(length, PIECE_BYTES), source.size - offset)) as Uint8Array<ArrayBuffer>;
    }
    return piece.subarray(offset - start, offset - start + length);
  };
}

export function indexTar(source: ByteSource): TarIndex {
  const files: TarEntry[] = [];
  const folders: string[] = [];
  const doubles: string[] = [];
  const links: string[] = [];
  const unusual: {path: string; type: string}[] = [];
  const seen = new Map<string, number>();
  const read = windowed(source);
  const next = headerReader(source, read);
  for (let header = next(0); header; header = next(header.end)) {
    const {name, type, offset, size} = header;
    const problem = whyUnsafeName(name);
    if (problem)
      throw invalid(
        source.name,
        offset,
        `the name of an entry, '${name.slice(0, 80)}', ${problem}`,
        'make the archive with relative names',
      );
    const path = name
      .split('/')
      .filter((part) => part !== '' && part !== '.')
      .join('/');
    if (path === '' || isHidden(path)) continue;
    if (type === 'folder' || (type === 'file' && name.endsWith('/'))) folders.push(path);
    else if (type === 'link') links.push(path);
    else if (type !== 'file') unusual.push({path, type});
    else {
      const before = seen.get(path);
      if (before !== undefined) doubles.push(path);
      seen.set(path, before ?? files.length);
      files[before ?? files.length] = {path, offset, size}; // the later one wins, as when unpacking
    }
  }
  const types = [...new Set(unusual.map(({type}) => type))].join(', ');
  const said = [
    ...warnings('tar-link', links),
    ...warnings(
      'tar-entry',
      unusual.map(({path}) => path),
      types,
    ),
    ...warnings('double-name', doubles),
  ];
  return {files, folders, warnings: said};
}

interface Located extends TarHeader {
  /** Where the content begins, and where the next header is. */
  readonly offset: number;
  readonly end: number;
}

/** Steps from header to header; those that only extend the next one are consumed on the way. */
function headerReader(source: ByteSource, read: (offset: number, length: number) => Uint8Array) {
  const at = (offset: number): Located | undefined => {
    if (source.size - offset < TAR_BLOCK_BYTES) {
      if (offset < source.size) throw invalid(source.name, offset, 'ends in the middle of a header');
      return undefined;
    }
    const block = read(offset, TAR_BLOCK_BYTES);
    if (isEmptyBlock(block)) return undefined;
    const header = parseTarHeader(block);
    if (!header) throw invalid(source.name, offset, 'has no valid tar header where one must be');
    return locate(header, offset + TAR_BLOCK_BYTES, header.size);
  };
  const locate = (header: TarHeader, offset: number, size: number): Located => {
    if (offset + size > source.size) {
      throw invalid(
        source.name,
        offset,
        `'${header.name.slice(0, 80)}' has ${size} bytes, the archive only ${source.size - offset} more`,
      );
    }
    return {...header, size, offset, end: offset + Math.ceil(size / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES};
  };
  const extension = ({name, offset, size}: Located): Uint8Array => {
    if (size > MAX_EXTENSION_BYTES)
      throw invalid(source.name, offset, `the header '${name.slice(0, 80)}' declares ${size} bytes of metadata`);
    return read(offset, size);
  };
  return (start: number): Located | undefined => {
    let name: string | undefined;
    let size: number | undefined;
    let isSparse = false;
    for (let header = at(start); header; header = at(header.end)) {
      if (header.type === 'gnu-name') name = new TextDecoder().decode(extension(header)).replace(/\0+$/, '');
      else if (header.type === 'pax') {
        const records = parsePax(extension(header));
        if (!records) throw invalid(source.name, header.offset, 'has a pax header that is not well formed');
        name = records.get('path') ?? name;
        size = sizeFrom(records, source.name, header.offset) ?? size;
        isSparse ||= [...records.keys()].some((key) => key.startsWith('GNU.sparse.'));
      } else if (header.type !== 'gnu-link' && header.type !== 'pax-global') {
        const located = locate(header, header.offset, size ?? header.size);
        return {...located, name: name ?? header.name, type: isSparse ? 'sparse' : header.type};
      }
    }
    return undefined;
  };
}

function sizeFrom(records: ReadonlyMap<string, string>, archive: string, offset: number): number | undefined {
  const size = records.get('size');
  if (size === undefined) return undefined;
  if (!/^[0-9]{1,15}$/.test(size)) throw invalid(archive, offset, `a pax header gives the size '${size.slice(0, 40)}'`);
  return Number(size);
}

/** The entries of an archive; archives among them can be listed in turn. */
export function listTar(place: FileSpan): Listing {
  const {files, folders, warnings: said} = indexed(place, indexTar);
  const entries = files.map(({path, offset, size}): Entry => {
    const at = place.offset + offset;
    const inside = (): FileSpan => ({name: `${place.name}/${path}`, file: place.file, offset: at, size});
    return {path, size, read: () => place.file.read(at, size), place: inside};
  });
  return {name: place.name, entries, folders, warnings: said, async close() {}};
}
