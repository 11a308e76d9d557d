export class PostcopyError extends Error {
    code;
    constructor(code, message, cause) {
        super(message, cause === undefined ? undefined : { cause });
        this.name = 'PostcopyError';
        this.code = code;
    }
}
/** The message of anything thrown, with the messages of its causes behind it. */
export function describeError(error) {
    if (!(error instanceof Error))
        return String(error);
    return error.cause === undefined ? error.message : `${error.message} (${describeError(error.cause)})`;
}
