/** Strict UTF-8: invalid bytes are an error, never a replacement character, and a byte order mark is an ordinary character. */
const decoder = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true});

export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}
