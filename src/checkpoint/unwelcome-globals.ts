/**
 * Names that no checkpoint has a reason to mention. Nothing here is what keeps a reader safe: no name of a file is ever looked up, called or
 * imported, whatever it is. But a file that asks for one of these was made to attack other readers, and whoever has it must hear so.
 */
import type {PickleMachine} from './pickle-machine.js';

/** Python's own modules (3.11's `sys.stdlib_module_names`, and Python 2's): of these, the allow-list has every name that is harmless. */
const pythonModules = new Set(
  `abc aifc antigravity argparse array ast asynchat asyncio asyncore atexit audioop base64 bdb binascii bisect builtins bz2 cProfile
  calendar cgi cgitb chunk cmath cmd code codecs codeop collections colorsys compileall concurrent configparser contextlib contextvars
  copy copyreg crypt csv ctypes curses dataclasses datetime dbm decimal difflib dis distutils doctest email encodings ensurepip enum
  errno faulthandler fcntl filecmp fileinput fnmatch fractions ftplib functools gc genericpath getopt getpass gettext glob graphlib grp
  gzip hashlib heapq hmac html http idlelib imaplib imghdr imp importlib inspect io ipaddress itertools json keyword lib2to3 linecache
  locale logging lzma mailbox mailcap marshal math mimetypes mmap modulefinder msilib msvcrt multiprocessing netrc nis nntplib nt ntpath
  nturl2path numbers opcode operator optparse os ossaudiodev pathlib pdb pickle pickletools pipes pkgutil platform plistlib poplib posix
  posixpath pprint profile pstats pty pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re readline reprlib resource
  rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site smtpd smtplib sndhdr socket socketserver spwd sqlite3
  sre_compile sre_constants sre_parse ssl stat statistics string stringprep struct subprocess sunau symtable sys sysconfig syslog
  tabnanny tarfile telnetlib tempfile termios textwrap this threading time timeit tkinter token tokenize tomllib trace traceback
  tracemalloc tty turtle turtledemo types typing unicodedata unittest urllib uu uuid venv warnings wave weakref webbrowser winreg
  winsound wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib zoneinfo
  __builtin__ __future__ anydbm bsddb cPickle cStringIO commands compiler copy_reg dbhash dircache exceptions httplib ihooks
  os2 popen2 rexec statvfs thread urllib2 urlparse`.split(/\s+/),
);

/** Packages whose purpose is to run or fetch something. */
const runners = new Set(
  `pip setuptools pkg_resources dill cloudpickle joblib IPython requests httpx aiohttp paramiko fabric invoke sh plumbum pexpect
  numexpr execnet`.split(/\s+/),
);

/** Modules of PyTorch and numpy that are functions: the allow-list has every name of them that a checkpoint needs. */
const functionModules =
  /^(torch|torch\.(hub|serialization|storage|jit|package|_utils|_tensor|_C|multiprocessing|testing|_dynamo|_inductor|fx)(\..*)?|torch\.utils\.(cpp_extension|model_zoo|bottleneck)|torch\.distributed\.(rpc|run|launch|elastic)(\..*)?|numpy|numpy\.(core|_core|f2py|testing|distutils|lib|ctypeslib)(\..*)?)$/;

/** Why some names are refused by what they are: pattern on `module name` → what the file is, what to do. */
const refusals: readonly [pattern: RegExp, problem: string, hint: string][] = [
  [/^torch\._utils _rebuild_q/, 'a quantised tensor', 'convert the float checkpoint; gpd quantises by itself'],
  [/^torch\._utils _rebuild_.*sparse/, 'a sparse tensor', 'save it with to_dense() first'],
  [
    /^torch\._utils _rebuild_tensor_v3|UntypedStorage/,
    'a tensor of a dtype that only newer PyTorch knows',
    'save it as float32 first',
  ],
  [/^torch\._utils _rebuild_/, 'a tensor of a kind that is not read here', 'save the weights as plain tensors first'],
  [
    /^torch\.fx\.graph_module /,
    'a whole model saved with its code',
    'load it where its code is, save model.state_dict() instead, and convert that',
  ],
  [
    /^(__torch__|torch\.jit\b)/,
    'a TorchScript module',
    'save its weights alone: torch.save(torch.jit.load(PATH).state_dict(), NEW_PATH), and convert that',
  ],
];

/** What Python could import: letters of any alphabet, with dots between. */
const IMPORTABLE = /^[\p{L}\p{Nl}_][\p{L}\p{N}\p{M}_]*(\.[\p{L}\p{Nl}_<][\p{L}\p{N}\p{M}_<>]*)*$/u;
const MAX_NAME = 512;

/** Throws PICKLE_UNSUPPORTED for a name that is not on the allow-list and may not stand for an inert object either. */
export function refuseUnwelcome(m: PickleMachine, module: string, name: string): void {
  const shown = JSON.stringify(`${module}.${name}`.slice(0, MAX_NAME));
  const known = refusals.find(([pattern]) => pattern.test(`${module} ${name}`));
  if (known) throw m.unsupported(`holds ${known[1]} (${shown})`, known[2]);
  const top = module.split('.', 1)[0]!;
  const isNameable = module.length + name.length <= MAX_NAME && IMPORTABLE.test(module) && IMPORTABLE.test(name);
  const isPrivatePython = /^_[a-z]/.test(top); // CPython's modules in C: _io, _posixsubprocess, _winapi
  if (isNameable && !pythonModules.has(top) && !runners.has(top) && !functionModules.test(module) && !isPrivatePython) return;
  throw m.unsupported(
    `asks for ${shown}, which is not on the list of names a state dict needs; nothing was executed`,
    'do not load this file with other tools unless you trust its source; if you do, save model.state_dict() alone',
  );
}
