// TypeScript → CommonJS for jest, by esbuild: types are checked by `npm run types`, not here.
const {createHash} = require('node:crypto');
const {transformSync, version} = require('esbuild');

module.exports = {
  getCacheKey: (source, path) =>
    createHash('sha1')
      .update(version)
      .update(__filename + 2)
      .update(path)
      .update('\0')
      .update(source)
      .digest('hex'),
  process(source, path) {
    const {code, map} = transformSync(source, {
      loader: 'ts',
      format: 'cjs',
      target: 'node20',
      supported: {'dynamic-import': false}, // becomes require: jest has no import() in CommonJS
      sourcefile: path,
      sourcemap: true,
    });
    return {code, map: JSON.parse(map)};
  },
};
