/** What a frame can be guilty of; the reason why a peer was closed. */
export type ViolationKind =
  | 'truncated'
  | 'trailing'
  | 'bounds'
  | 'value'
  | 'utf8'
  | 'size'
  | 'message'
  | 'hello'
  | 'direction'
  | 'state'
  | 'once'
  | 'reply'
  | 'correlation'
  | 'flood'
  | 'descriptors'
  | 'backlog';

/**
 * A breach of the IPC protocol, found by the codec, the frame reader or the permission check. The channel
 * closes the peer and reports OCS_IPC_VIOLATION with this as its cause. Encoding a body that its declaration
 * does not allow throws the same error, at the caller.
 */
export class IpcViolation extends Error {
  readonly kind: ViolationKind;

  constructor(kind: ViolationKind, detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.name = 'IpcViolation';
    this.kind = kind;
  }
}
