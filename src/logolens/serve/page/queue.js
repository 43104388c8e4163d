// A few things at a time, in the order in which they were put.

export class Queue {
  #waiting = [];
  #running = 0;

  constructor(width, work, changed = () => {}) {
    this.width = width;
    this.work = work;
    this.changed = changed;
  }

  get busy() {
    return this.#running + this.#waiting.length;
  }

  put(things) {
    for (const thing of things) this.#waiting.push(thing);
    this.#go();
    this.changed();
  }

  // What waits is let go of; what runs comes to its end.
  drop() {
    const left = this.#waiting;
    this.#waiting = [];
    this.changed();
    return left;
  }

  #go() {
    while (this.#running < this.width && this.#waiting.length) {
      this.#running++;
      Promise.resolve(this.work(this.#waiting.shift())).catch((error) => console.error(error)).finally(() => {
        this.#running--;
        this.#go();
        this.changed();
      });
    }
  }
}
