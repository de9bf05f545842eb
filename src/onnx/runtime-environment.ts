/** What must be so before onnxruntime's library is loaded. */

/**
 * onnxruntime 1.30 for Linux has a telemetry client: it keeps a device id under `~/.cache/Microsoft`, a log for each process in TMPDIR, and
 * sends usage to Microsoft. Nothing here does. (In a worker thread the environment is a copy, which the library does not see: who loads the
 * library there sets the variable before Node starts.)
 */
export function refuseTelemetry(): void {
  process.env['ORT_DISABLE_TELEMETRY'] = '1';
}
