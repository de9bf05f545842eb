export default {
  testEnvironment: '<rootDir>/test/environment.cjs',
  globalSetup: '<rootDir>/test/commands/build.cjs',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  transform: {'\\.ts$': '<rootDir>/test/transform.cjs'},
  moduleNameMapper: {'^(\\.{1,2}/.*)\\.js$': '$1'},
  moduleFileExtensions: ['ts', 'js', 'json', 'node'],
  sandboxInjectedGlobals: ['Math', 'Number', 'Array', 'Object', 'Float32Array', 'Float64Array'], // a vm looks its globals up slowly
  testTimeout: 120_000, // a guard against hanging, not a measure: machines are slow and shared
  reporters: ['default', '<rootDir>/test/reporter.cjs'],
};
