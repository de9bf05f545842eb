/** What files of a set hold many images, by their names: archives and tables. */

const ARCHIVE = /\.(tar|tar\.(gz|bz2|xz)|tgz|tbz2?|txz|zip)$/i;
const TABLE = /\.parquet$/i;

/** Archives that may lie in a set. */
export const isArchive = (path: string): boolean => ARCHIVE.test(path);
/** Tables with a column of images. */
export const isTable = (path: string): boolean => TABLE.test(path);
/** Files that hold images, in place of images. */
export const isDataFile = (path: string): boolean => isArchive(path) || isTable(path);
/** `a/b.tar.gz` without its ending. */
export const archiveStem = (path: string): string => path.replace(ARCHIVE, '');
