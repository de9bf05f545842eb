/** Flags that do not exist or do not fit together: exit 2, and nothing on stdout. */
import {fixture, run} from './program.js';

describe('usage', () => {
  test.each([
    [['convert']],
    [['convert', 'x.pth', '--jsn']],
    [['convert', 'x.pth', '--opset', '9']],
    [['convert', 'x.pth', '--emit', 'students']],
    [['convert', 'x.pth', '--arch', 'resnet19']],
    [['convert', 'x.pth', '--all', '--emit', 'student']],
    [['convert', 'x.pth', '--format', 'pth', '--emit', 'teacher']],
    [['convert', 'x.pth', '--ignore-unknown']],
    [['nothing']],
  ])('gpd %j exits 2', async (args) => {
    const {status, stdout, stderr} = await run(args);
    expect({status, stdout}).toEqual({status: 2, stdout: ''});
    expect(stderr).toContain('Error');
  });

  test('a flag that is gone names the one that took its place', async () => {
    expect((await run(['convert', 'x.pth', '--ignore-unknown'])).stderr).toContain("--ignore 'aux_head.*'");
  });

  test('a misspelt command', async () => {
    expect((await run(['covnert', 'x.pth'])).stderr).toContain("there is no command 'covnert'; did you mean gpd convert?");
  });

  test('as JSON', async () => {
    const {status, stdout} = await run(['convert', 'x.pth', '--opset', '9', '--json']);
    expect(status).toBe(2);
    expect(JSON.parse(stdout)).toEqual({error: {code: 'USAGE', message: expect.stringContaining('--opset')}});
  });

  test('a misspelt debug topic', async () => {
    expect(await run(['inspect', fixture('cifar_resnet20_plain.pth')], {env: {GPD_DEBUG: 'grap'}})).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringContaining("'grap'"),
    });
  });
});
