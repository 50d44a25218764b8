import type { Sender } from "./channel.ts";

/** One way in to several actors that do the same work: messages of one key all go to the same one, in order. */
export function spread<M>(
  senders: readonly Sender<M>[],
  keyOf: (message: M) => string,
): Sender<M> {
  const one = (message: M): Sender<M> => {
    const sender = senders[hashOf(keyOf(message)) % senders.length];
    if (!sender) throw new RangeError("Cannot spread messages: expected senders, received none");
    return sender;
  };
  return {
    send: (message) => one(message).send(message),
    trySend: (message) => one(message).trySend(message),
    close: (reason) => senders.forEach((sender) => sender.close(reason)),
  };
}

/** FNV-1a, 32 bits (http://www.isthe.com/chongo/tech/comp/fnv/). */
function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
