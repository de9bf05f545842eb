/** `metadata_props` of a model, as bytes that can be appended to an encoded one: protobuf merges repeated fields. */
import {ModelProto} from './proto.js';

export const metadataBytes = (entries: ReadonlyMap<string, string>): Uint8Array =>
  ModelProto.encode({metadataProps: [...entries].map(([key, value]) => ({key, value}))}).finish();
