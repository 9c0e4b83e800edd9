// What the server sends: frames as JSON, under short names, as `decoding/page/wire` writes them.

/**
 * @typedef {[id: number, text: string, p: number, q: number]} Candidate
 *   a token's probability as the model has it, and as it is drawn from: 0 where it was cut
 *
 * @typedef {{key: string, args?: Object}} Message
 *   an entry of the texts' `messages` and what fills its placeholders
 *
 * @typedef {Object} Step one inference and the token that came of it
 * @property {number} i its index
 * @property {"prefill" | "decode" | "score"} ph phase; "score": the text was given and measured
 * @property {number} in tokens that were fed
 * @property {number} id of the token
 * @property {string} k the token as the vocabulary spells it
 * @property {string} t the text that it released; "" inside a character
 * @property {0 | 1} sp whether it is a special token
 * @property {number | null} lp log-probability in nats; null where that is no finite number
 * @property {number} p probability as the model has it
 * @property {number} r rank; 1 is the model's favourite
 * @property {number} q sampling probability
 * @property {number | null} H entropy in bits
 * @property {number | null} V varentropy in bits²
 * @property {number} tail probability outside the listed candidates
 * @property {number} kept tokens that the settings left
 * @property {[positions: number, bytes: number] | null} kv the cache afterwards
 * @property {[layers: number, positions: number | null, bytes: number][] | null} L the same for
 *   each run of layers that hold the same
 * @property {[used: number, reserved?: number] | null} m bytes of memory in use
 * @property {number} s seconds
 * @property {"eos" | "length" | "stop_string" | "stopped" | null} fin why the text ends here
 * @property {Candidate[]} c the likeliest tokens
 * @property {1} [f] the token was chosen by hand
 * @property {number | null} [tb] bytes of the given text that a scored token stands for; null
 *   where the tokenizer does not tell
 * @property {[start: number, doubt: number | null, own: number | null]} w the word that the token
 *   is in: index of its first step, its doubt so far, and that without the words before
 *
 * @typedef {Object} Head what the first frame of a run says besides its steps
 * @property {[id: number, text: string, isSpecial: 0 | 1, piece?: string][]} prompt
 * @property {Object} model its facts under their own names
 * @property {Object} config the settings, by name
 * @property {boolean} live whether the run can go on
 *
 * @typedef {Object} Frame news of a run; with `run` "" of what the page waits for
 * @property {string} run id, which cannot be guessed
 * @property {string} state
 * @property {Message | null} message
 * @property {[done: number, total: number] | null} progress
 * @property {number} start index of the first of `steps`
 * @property {number} total steps on the way to the end of the branch
 * @property {Step[]} steps
 * @property {number} [b] the branch that they are of
 * @property {Head} [head]
 * @property {[parent: number | null, at: number, length: number][]} [tree] of each branch
 * @property {[branch: number, index: number, reused: number, fed: number, seconds: number,
 *   reason: string | null][]} [notes] what going on from another place took
 * @property {[branch: number, index: number, settings: Object][]} [changes]
 * @property {Object} [model] the one that is loaded now
 * @property {true} [switch] this is about another model, which the visitor asked for
 *
 * @typedef {Object} JobFrame news of a longer job; with `work` "" why there is none
 * @property {string} work id of the job, which cannot be guessed
 * @property {string} kind
 * @property {"queued" | "loading" | "running" | "finished" | "stopped" | "error"} state
 * @property {Message | null} message
 * @property {[done: number, total: number] | null} progress
 * @property {Object} [head] what is known before the first row
 * @property {number} start index of the first of `rows`
 * @property {number} total
 * @property {Array[]} rows
 * @property {Object | null} summary of the rows so far
 */

/** @returns {Frame | JobFrame | null} of a frame's text; null where that is empty */
export const readFrame = (text) => (text ? JSON.parse(text) : null);
