export default {
  testEnvironment: '<rootDir>/test/environment.cjs',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  transform: {'\\.ts$': '<rootDir>/test/transform.cjs'},
  moduleNameMapper: {'^(\\.{1,2}/.*)\\.js$': '$1'},
  moduleFileExtensions: ['ts', 'js', 'json', 'node'],
  reporters: ['default', '<rootDir>/test/reporter.cjs'],
};
