// The end of a test run: what was skipped, by what it needs, and the line that .ci/run ends with: `N passed, N failed, N skipped`.
module.exports = class {
  onRunComplete(_, {numPassedTests, numFailedTests, numPendingTests, numRuntimeErrorTestSuites, testResults}) {
    const needs = new Map();
    for (const {testResults: tests} of testResults)
      for (const {status, fullName} of tests) {
        if (status !== 'pending') continue;
        const need = /\(needs ([^)]+)\)/.exec(fullName)?.[1] ?? `nothing that its name tells: ${fullName}`;
        needs.set(need, (needs.get(need) ?? 0) + 1);
      }
    const lines = [...needs].map(([need, count]) => `skipped: ${count} ${count === 1 ? 'test needs' : 'tests need'} ${need}\n`);
    const skipped = numPendingTests ? `, ${numPendingTests} skipped` : '';
    lines.push(`${numPassedTests} passed, ${numFailedTests + numRuntimeErrorTestSuites} failed${skipped}\n`);
    process.on('exit', () => process.stdout.write(`\n${lines.join('')}`));
  }
};
