/** Seeded random numbers. A stream is a pure function of its seed: the same on every platform, Node version and run. */

/** 32-bit mixing of MurmurHash3's finaliser (Appleby, public domain): every input bit moves every output bit. */
export function mix32(h: number): number {
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** FNV-1a, 32 bit, of the UTF-8 bytes of a text. */
export function fnv1a(text: string): number {
  let h = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) h = Math.imul(h ^ byte, 0x01000193);
  return h >>> 0;
}

export interface Random {
  /** Uniform in [0, 1), 24 bits. */
  uniform(): number;
  /** Uniform integer in [0, n). */
  integer(n: number): number;
  /** Standard normal (Box-Muller, one of the pair). */
  normal(): number;
}

/** A counter-based stream: element i is mix32(seed xor i·φ). */
export function random(seed: number | string): Random {
  const key = typeof seed === 'string' ? fnv1a(seed) : mix32(seed);
  let counter = 0;
  const uniform = () => (mix32(key ^ Math.imul(counter++, 0x9e3779b1)) >>> 8) * 2 ** -24;
  return {
    uniform,
    integer: (n) => Math.floor(uniform() * n),
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
  };
}

/** Fills an array with uniform numbers in [low, high), as `random(seed).uniform` would, in one loop. */
export function fillUniform(target: Float32Array, seed: number | string, low: number, high: number): void {
  const key = typeof seed === 'string' ? fnv1a(seed) : mix32(seed);
  const scale = (high - low) * 2 ** -24;
  for (let i = 0; i < target.length; i++) target[i] = low + (mix32(key ^ Math.imul(i, 0x9e3779b1)) >>> 8) * scale;
}
