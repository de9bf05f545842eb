// The end of a test run: which files write to the console, what was skipped, by what it needs, and the line that .ci/run ends with:
// `N passed, N failed, N skipped`.
const {relative} = require('node:path');

module.exports = class {
  noisy = [];

  onTestResult({path}, {console}) {
    if (console?.length) this.noisy.push(relative(process.cwd(), path));
  }

  onRunComplete(_, {numPassedTests, numFailedTests, numPendingTests, numRuntimeErrorTestSuites, testResults}) {
    const needs = new Map();
    for (const {testResults: tests} of testResults)
      for (const {status, fullName} of tests) {
        if (status !== 'pending') continue;
        const need = /\(needs ([^)]+)\)/.exec(fullName)?.[1] ?? 'nothing known (a filter of names?)';
        needs.set(need, (needs.get(need) ?? 0) + 1);
      }
    const lines = this.noisy.map((file) => `clutter: ${file} writes to the console\n`);
    for (const [need, count] of needs) lines.push(`skipped: ${count} ${count === 1 ? 'test needs' : 'tests need'} ${need}\n`);
    const skipped = numPendingTests ? `, ${numPendingTests} skipped` : '';
    lines.push(`${numPassedTests} passed, ${numFailedTests + numRuntimeErrorTestSuites} failed${skipped}\n`);
    process.on('exit', () => process.stdout.write(`\n${lines.join('')}`));
  }
};
