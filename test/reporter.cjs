// The last line of a test run: `N passed, N failed`, with what was skipped. .ci/run ends with it.
module.exports = class {
  onRunComplete(_, {numPassedTests, numFailedTests, numPendingTests, numRuntimeErrorTestSuites}) {
    const skipped = numPendingTests ? `, ${numPendingTests} skipped` : '';
    const line = `${numPassedTests} passed, ${numFailedTests + numRuntimeErrorTestSuites} failed${skipped}\n`;
    process.on('exit', () => process.stdout.write(`\n${line}`));
  }
};
