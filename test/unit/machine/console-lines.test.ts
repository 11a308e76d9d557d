import { expect, it, vi } from 'vitest';
import { native } from '../../../src/native.js';
import { openLines, type Consoles } from '../../../src/machine/console-lines.js';

it('leaves no end open if the second line cannot be opened', () => {
  const closeFd = vi.spyOn(native, 'closeFd').mockImplementation(() => {});
  const pair = native.socketPair();
  vi.spyOn(native, 'socketPair')
    .mockReturnValueOnce(pair)
    .mockImplementationOnce(() => {
      throw new Error('too many open files');
    });
  const attach = vi.fn();
  expect(() => openLines({ serial: { attach }, virtio: { attach } } as unknown as Consoles)).toThrow('too many');
  expect(attach).toHaveBeenCalledTimes(1); // its end goes with the machine's
  expect(closeFd.mock.calls).toEqual([[pair[1]]]);
  closeFd.mockRestore();
  attach.mock.calls[0]![0].destroy();
  native.closeFd(pair[1]);
});
