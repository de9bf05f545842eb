/** Little-endian bytes, appended. For headers and pickles; tensors go straight to the sink. */
export type Sink = (bytes: Uint8Array) => void;

export class ByteWriter {
  private bytes = new Uint8Array(256);
  private view = new DataView(this.bytes.buffer);
  length = 0;

  private room(length: number): number {
    const at = this.length;
    this.length += length;
    if (this.length > this.bytes.length) {
      const larger = new Uint8Array(Math.max(2 * this.bytes.length, this.length));
      larger.set(this.bytes);
      this.bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    return at;
  }
  u8(value: number): this {
    const at = this.room(1); // may replace the view
    this.view.setUint8(at, value);
    return this;
  }
  u16(value: number): this {
    const at = this.room(2); // may replace the view
    this.view.setUint16(at, value, true);
    return this;
  }
  i32(value: number): this {
    const at = this.room(4); // may replace the view
    this.view.setInt32(at, value, true);
    return this;
  }
  u32(value: number): this {
    const at = this.room(4); // may replace the view
    this.view.setUint32(at, value, true);
    return this;
  }
  u64(value: number | bigint): this {
    const at = this.room(8); // may replace the view
    this.view.setBigUint64(at, BigInt(value), true);
    return this;
  }
  f64BigEndian(value: number): this {
    const at = this.room(8); // may replace the view
    this.view.setFloat64(at, value, false);
    return this;
  }
  raw(bytes: ArrayLike<number>): this {
    const at = this.room(bytes.length);
    this.bytes.set(bytes, at);
    return this;
  }
  ascii(text: string): this {
    return this.raw(Buffer.from(text, 'latin1'));
  }
  /** A copy. */
  take(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }
}
