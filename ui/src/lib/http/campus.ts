/** The campus as this page holds it: taken by a snapshot, kept current by the stream, sent to by the outbox. */
import type { Anchor } from '../../generated/Anchor';
import type { CampusView } from '../../generated/CampusView';
import type { Change } from '../../generated/Change';
import type { Circles as CirclesAnswer } from '../../generated/Circles';
import type { CircleState } from '../../generated/CircleState';
import type { CircleView } from '../../generated/CircleView';
import type { Connection } from '../../generated/Connection';
import type { ConnectionProblem } from '../../generated/ConnectionProblem';
import type { Draft } from '../../generated/Draft';
import type { DraftView } from '../../generated/DraftView';
import type { Me } from '../../generated/Me';
import type { Members } from '../../generated/Members';
import type { Message } from '../../generated/Message';
import type { MessagesPage } from '../../generated/MessagesPage';
import type { MessageView } from '../../generated/MessageView';
import type { Mute } from '../../generated/Mute';
import type { OnlineMembers } from '../../generated/OnlineMembers';
import type { Person } from '../../generated/Person';
import type { Receipt } from '../../generated/Receipt';
import type { StrandedView } from '../../generated/StrandedView';
import type { TimelineView } from '../../generated/TimelineView';
import type { Update } from '../../generated/Update';
import { failure, isFailure } from '../failure';
import { firstSince } from './days';
import { ReadMarkers } from './markers';
import { Outbox, type Entry } from './outbox';
import { draftsOf, mutesOf, NO_DRAFT, type OwnStates } from './own';
import { isPassing, request } from './request';
import { Retake } from './retake';
import { Sender } from './sender';
import { Stream } from './stream';
import { CircleLog, windowOf } from './timeline';
import { turnOf } from './turn';
import { Typing } from './typing';
import { circleView, messageView, personOf, personView, strandedView, unsentView, type Known } from './views';

/** Pages of people who are online, with 1,000 each: the largest circle of a campus. */
const ONLINE_PAGES_MAX = 50;

export class Campus implements Known {
  readonly id: string;
  readonly outbox: Outbox;
  readonly people = new Map<string, Person>();
  me: Person;
  connection: Connection = { state: 'connecting' };

  private states = new Map<string, CircleState>();
  private readonly logs = new Map<string, CircleLog>();
  private readonly stream: Stream;
  private readonly sender: Sender;
  private readonly typing = new Typing({
    changed: (circle) => this.typingChanged(circle),
    // Loss is fine: it is said again in a moment.
    say: (circle, on) => void request('POST', `/circles/${circle}/typing`, { on }).catch(() => undefined),
  });
  /** Circles whose people were asked for because one of them was not known. */
  private readonly asked = new Set<string>();
  /** The first post of each circle that was refused, as it is shown. */
  private readonly refused = new Map<string, string | undefined>();
  private readonly markers: ReadMarkers;
  private readonly mutes: OwnStates<boolean>;
  private readonly drafts: OwnStates<DraftView>;
  /** Written by a tab that sees the relay again, to the tab whose turn it is to send. */
  private readonly nudge: string;
  private readonly retake = new Retake({
    taken: (snapshot) => this.takeAnew(snapshot),
    failed: (error, retryAt) => this.signedOut(error) || this.offline(problemOf(error), retryAt),
  });
  private refreshing: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private snapshot: Me,
    private readonly emit: (update: Update) => void,
  ) {
    this.id = snapshot.campus_id;
    this.me = snapshot.person;
    this.nudge = `circles.nudge.${this.id}`;
    this.outbox = new Outbox(localStorage, this.id);
    this.markers = new ReadMarkers(localStorage, this.id);
    this.mutes = mutesOf(localStorage, this.id);
    this.drafts = draftsOf(localStorage, this.id);
    const turn = turnOf(`circles.turn.${this.id}`, localStorage);
    this.sender = new Sender(this.outbox, this.markers, [this.mutes, this.drafts], turn, {
      changed: (circle, message) => this.changed(circle, [message]),
      sent: (entry, answer) => this.sent(entry, answer),
      told: (entity) => this.own(entity),
      settled: (circle) => this.circleChanged(circle),
      marked: ({ circle, seq }, taken) => (taken ? this.readTo(circle, seq) : this.circleChanged(circle)),
    });
    this.stream = new Stream((url) => new EventSource(url), {
      hello: (goesOn) => this.connected(goesOn),
      typing: (it) => it.person_id !== this.me.id && this.typing.heard(it),
      presence: ({ person_id, online }) => this.tellPresence(person_id, online),
      change: (change) => this.apply(change),
      gap: () => this.gap(),
      lost: (problem, retryAt) => this.offline(problem, retryAt),
      refused: () => this.whyRefused(),
    });
    this.take(snapshot);
    this.stream.start(snapshot.cursor);
    this.sender.start();
    window.addEventListener('storage', this.heard);
  }

  // ---- what is shown

  view(): CampusView {
    return {
      id: this.id,
      name: this.snapshot.campus_name,
      relay: location.origin,
      me: personView(this.me),
      connection: this.connection,
      hosted: false,
      token_place: 'cookie',
      renewal: null,
      kept: 0,
      stranded: this.stranded().length,
      absence: null,
    };
  }

  /** What was not sent in circles that one is not in any more. */
  stranded(): StrandedView[] {
    return this.outbox.entries.flatMap((it) =>
      this.isIn(it.circle) ? [] : strandedView(it, this.states.get(it.circle)),
    );
  }

  circles(): CircleView[] {
    return [...this.states.values()].map((state) => this.circle(state));
  }

  async timeline(id: string, anchor: Anchor, limit: number): Promise<TimelineView> {
    const state = this.states.get(id);
    const log = this.log(id);
    const { head_seq = 0, read_seq = 0 } = state ? this.asRead(state) : {};
    const { from, to } = windowOf(anchor, limit, head_seq, read_seq);
    if (from <= to && !log.complete(from, to)) {
      // What cannot be fetched now shows as a gap.
      await this.fetchPage(id, `after=${from - 1}&limit=${to - from + 1}`).catch((error: unknown) => {
        if (!isFailure(error) || !isPassing(error.code)) throw error;
      });
    }
    const messages = log.range(from, to).map((message) => this.message(message));
    const unsent = this.unsent(id);
    // The page holds next to nothing, but its relay everything: nothing is missing.
    return { from, to, head_seq, read_seq, held_seq: head_seq, messages, unsent };
  }

  /** A message just written, as it is shown. */
  written(entry: Entry): MessageView {
    return this.unsentView(entry);
  }

  async fill(id: string, from: number, to: number): Promise<void> {
    if (this.log(id).complete(from, to)) return;
    await this.fetchPage(id, `before=${to + 1}&limit=${Math.min(200, to - from + 1)}`);
    this.emit({ update: 'timeline', campus_id: this.id, circle_id: id });
  }

  async firstSince(id: string, at: number): Promise<number | null> {
    const { head_seq = 0 } = this.states.get(id) ?? {};
    return firstSince(head_seq, at, async (seq) => {
      const { messages } = await this.timeline(id, { at: 'around', seq }, 1);
      const message = messages.find((it) => it.seq === seq);
      if (!message) throw failure('offline', 'That part of the circle is not here.');
      return message.at;
    });
  }

  // ---- what the person does

  /** The outbox changed: it is shown, and the sender looks at it. */
  changed(circle: string, messages: string[]): void {
    const log = this.log(circle);
    const discarded = messages.filter((id) => !log.get(id) && !this.outbox.post(id));
    const views = messages.flatMap((id): MessageView[] => {
      const held = log.get(id);
      const post = this.outbox.post(id);
      return held ? [this.message(held)] : post ? [this.unsentView(post)] : [];
    });
    this.emit({ update: 'messages', campus_id: this.id, circle_id: circle, messages: views, discarded });
    const refused = this.outbox.refused(circle)?.key;
    if (refused !== this.refused.get(circle)) {
      this.refused.set(circle, refused);
      // What waits behind it says so, or no longer.
      this.emit({ update: 'timeline', campus_id: this.id, circle_id: circle });
    }
    this.circleChanged(circle);
    if (!this.isIn(circle)) this.emit({ update: 'campus', campus: this.view() });
    this.sender.kick();
  }

  circleChanged(id: string): void {
    const state = this.states.get(id);
    if (state) this.emit({ update: 'circles', campus_id: this.id, circles: [this.circle(state)] });
  }

  markRead(circle: string, seq: number): void {
    this.markers.set(circle, seq);
    this.circleChanged(circle);
    this.sender.kick();
  }

  setMuted(circle: string, on: boolean): void {
    this.mutes.set(circle, on, this.states.get(circle)?.mute?.on ?? false);
    this.circleChanged(circle);
    this.sender.kick();
  }

  draft(circle: string): DraftView {
    return this.drafts.get(circle)?.state ?? this.knownDraft(circle);
  }

  setDraft(circle: string, draft: DraftView): void {
    this.drafts.set(circle, draft, this.knownDraft(circle));
    this.circleChanged(circle);
    this.sender.kick();
  }

  /** What stood there is in the outbox: in the same task of the page, so that a tab that ends leaves it in one place. */
  emptyDraft(circle: string): void {
    try {
      this.setDraft(circle, NO_DRAFT);
    } catch {
      // A full storage: it was sent all the same.
    }
  }

  /** One types in a circle, or no longer. */
  types(circle: string, on: boolean): void {
    if (this.connection.state === 'online') this.typing.types(circle, on);
  }

  /** The members who are online; nobody, without a stream or a relay that answers. */
  async presence(circle: string): Promise<string[]> {
    const online: string[] = [];
    let after = '';
    for (let page = 0; page < ONLINE_PAGES_MAX; page++) {
      if (this.connection.state !== 'online') return [];
      const found = await request<OnlineMembers>('GET', `/circles/${circle}/presence${after}`).catch(
        (error: unknown) => {
          // The next stream says when to ask again.
          if (isFailure(error) && isPassing(error.code)) return null;
          throw error;
        },
      );
      if (!found) return [];
      online.push(...found.online);
      if (!found.next) break;
      after = `?after=${found.next}`;
    }
    return online;
  }

  accept(state: CircleState): CircleView {
    this.states.set(state.circle.id, state);
    this.circleChanged(state.circle.id);
    return this.circle(state);
  }

  reconnect(): void {
    if (!this.retake.now()) this.stream.reconnect();
    this.sendNow();
  }

  stop(): void {
    window.removeEventListener('storage', this.heard);
    this.stream.stop();
    this.sender.stop();
    this.retake.stop();
    this.typing.clear();
    clearTimeout(this.refreshing);
  }

  // ---- the other tabs

  private readonly heard = ({ key, storageArea }: StorageEvent): void => {
    if (storageArea !== localStorage) return;
    if (key === this.nudge) this.sender.kick(true);
    const read = this.markers.heard(key);
    if (read) {
      this.circleChanged(read);
      this.sender.kick();
    }
    const muted = this.mutes.heard(key);
    const drafted = this.drafts.heard(key);
    for (const circle of [muted, drafted]) {
      if (!circle) continue;
      this.circleChanged(circle);
      this.sender.kick();
    }
    if (drafted) this.draftChanged(drafted);
    const touched = new Map(this.outbox.heard(key).map(({ message, circle }) => [message, circle]));
    for (const [message, circle] of touched) this.changed(circle, [message]);
  };

  /** There is reason to believe that sending works again. The tab that sends may be in the background and slow to see it. */
  private sendNow(): void {
    if (this.sender.kick(true)) return;
    try {
      localStorage.setItem(this.nudge, String(Date.now()));
    } catch {
      // A full storage: that tab tries again by itself.
    }
  }

  // ---- the stream

  private apply(change: Change): void {
    const entity = change.entity;
    switch (entity.kind) {
      case 'person':
        this.person(entity);
        break;
      case 'message':
        this.arrived(entity);
        break;
      case 'reaction':
        if (this.log(entity.circle_id).reaction(entity)) this.changed(entity.circle_id, [entity.message_id]);
        break;
      case 'read_marker':
        if (entity.person_id === this.me.id) this.readTo(entity.circle_id, entity.seq);
        break;
      case 'mute':
      case 'draft':
        if (entity.person_id === this.me.id) this.own(entity);
        break;
      case 'circle': {
        const state = this.states.get(entity.id);
        if (!state) this.refreshSoon();
        else if (entity.version > state.circle.version) this.accept({ ...state, circle: entity });
        break;
      }
      case 'membership':
        this.refreshSoon();
        break;
    }
  }

  private readTo(circle: string, seq: number): void {
    const state = this.states.get(circle);
    if (!state || seq <= state.read_seq) return;
    this.states.set(circle, { ...state, read_seq: seq, unread: seq >= state.head_seq ? 0 : state.unread });
    this.circleChanged(circle);
    if (seq < state.head_seq) this.refreshSoon();
  }

  /** A state that the person's devices agree on. Version zero: there is none, and none was wanted. */
  private own(entity: Mute | Draft): void {
    const state = this.states.get(entity.circle_id);
    const is = 'on' in entity ? ({ mute: entity } as const) : ({ draft: entity } as const);
    const held = 'on' in entity ? state?.mute : state?.draft;
    if (!state || entity.version <= (held?.version ?? 0)) return;
    this.states.set(entity.circle_id, { ...state, ...is });
    this.circleChanged(entity.circle_id);
    if (is.draft) this.draftChanged(entity.circle_id);
  }

  private draftChanged(circle_id: string): void {
    this.emit({ update: 'draft', campus_id: this.id, circle_id });
  }

  private knownDraft(circle: string): DraftView {
    const draft = this.states.get(circle)?.draft;
    return draft ? { text: draft.text, reply_to: draft.reply_to, editing: draft.editing } : NO_DRAFT;
  }

  private person(person: Person): void {
    const held = this.people.get(person.id);
    if (held && held.version >= person.version) return;
    this.people.set(person.id, person);
    if (person.id === this.me.id) {
      this.me = person;
      this.emit({ update: 'campus', campus: this.view() });
    }
    if (held) this.emit({ update: 'timeline', campus_id: this.id, circle_id: null });
  }

  private arrived(message: Message): void {
    const id = message.circle_id;
    if (!this.log(id).message(message)) return;
    this.outbox.landed(message);
    this.typing.stopped(id, message.author_id);
    if (!this.people.has(message.author_id)) {
      this.refreshSoon();
      this.askWho(id, () => this.emit({ update: 'timeline', campus_id: this.id, circle_id: id }));
    }
    const state = this.states.get(id);
    if (state && message.seq > state.head_seq) {
      const others = message.author_id === this.me.id ? 0 : 1;
      const author = this.people.get(message.author_id) ?? null;
      this.states.set(id, {
        ...state,
        head_seq: message.seq,
        unread: state.unread + others,
        last: message,
        last_author: author,
      });
    } else if (state?.last?.id === message.id) {
      this.states.set(id, { ...state, last: message });
    }
    this.changed(id, [message.id]);
  }

  /** A receipt is as good as the message; the stream brings the same once more, with the same version. */
  private sent(entry: Entry, answer: unknown): void {
    if (entry.work.op !== 'post') return;
    const receipt = answer as Receipt;
    this.arrived({
      id: receipt.id,
      circle_id: receipt.circle_id,
      seq: receipt.seq,
      author_id: this.me.id,
      text: entry.work.text,
      reply_to: entry.work.reply_to,
      created_at: receipt.created_at,
      written_at: receipt.written_at,
      edited_at: null,
      deleted_at: null,
      version: receipt.pos,
    });
  }

  private connected(goesOn: boolean): void {
    const back = this.connection.state === 'offline';
    this.setConnection({ state: 'online', missing: 0 });
    this.sendNow();
    if (!goesOn) this.tellPresence(null, true);
    // What could not be fetched meanwhile shows as gaps.
    if (back) this.emit({ update: 'timeline', campus_id: this.id, circle_id: null });
  }

  private offline(problem: ConnectionProblem, retry_at: number): void {
    const since = this.connection.state === 'offline' ? this.connection.since : Date.now();
    this.setConnection({ state: 'offline', since, problem, retry_at });
  }

  private setConnection(connection: Connection): void {
    this.connection = connection;
    if (connection.state !== 'online') {
      this.typing.clear();
      this.tellPresence(null, false);
    }
    this.emit({ update: 'campus', campus: this.view() });
  }

  // ---- what is told in passing

  private tellPresence(person_id: string | null, online: boolean): void {
    this.emit({ update: 'presence', campus_id: this.id, person_id, online });
  }

  private typingChanged(circle: string): void {
    const ids = this.typing.people(circle);
    this.emit({ update: 'typing', campus_id: this.id, circle_id: circle, people: ids.map((id) => personOf(this, id)) });
    if (ids.every((id) => this.people.has(id))) return;
    this.askWho(circle, () => this.typingChanged(circle));
  }

  /** Asks who is in a circle, because one of them is not known; once, for the stream tells of whoever comes later. */
  private askWho(circle: string, known: () => void): void {
    if (this.asked.has(circle)) return;
    this.asked.add(circle);
    request<Members>('GET', `/circles/${circle}/members`).then(
      ({ members }) => {
        for (const { person } of members) if (!this.people.has(person.id)) this.people.set(person.id, person);
        known();
      },
      // Without it they are someone.
      () => this.asked.delete(circle),
    );
  }

  /** EventSource keeps the status to itself; `GET /v1/me` tells being signed out from being offline. */
  private async whyRefused(): Promise<boolean> {
    try {
      await request<Me>('GET', '/me');
    } catch (error) {
      if (this.signedOut(error)) return false;
      this.offline(problemOf(error), Date.now());
    }
    return true;
  }

  private signedOut(error: unknown): boolean {
    if (!isFailure(error) || error.code !== 'unauthorized') return false;
    this.setConnection({ state: 'signed_out' });
    this.stop();
    return true;
  }

  /** After a gap nothing of the stream is of use until the snapshot was taken anew, which has all of it. */
  private gap(): void {
    this.stream.stop();
    this.retake.gap();
  }

  /** What was loaded may have changed meanwhile: it is dropped too. Then the stream goes on from the snapshot. */
  private takeAnew(snapshot: Me): void {
    for (const log of this.logs.values()) log.clear();
    this.outbox.reload();
    this.take(snapshot);
    this.stream.start(snapshot.cursor);
    this.emit({ update: 'timeline', campus_id: this.id, circle_id: null });
  }

  private take(snapshot: Me): void {
    this.snapshot = snapshot;
    this.people.set(snapshot.person.id, snapshot.person);
    this.me = snapshot.person;
    this.takeStates(snapshot.circles);
  }

  private takeStates(states: CircleState[]): void {
    const before = this.states;
    this.states = new Map(states.map((state) => [state.circle.id, state]));
    for (const { last_author } of states) if (last_author) this.people.set(last_author.id, last_author);
    this.emit({ update: 'circles', campus_id: this.id, circles: this.circles() });
    for (const { circle, draft } of states) {
      if (draft && draft.version !== before.get(circle.id)?.draft?.version) this.draftChanged(circle.id);
    }
  }

  /** An answer, with what the stream told while it was under way: without that a message would leave the screen again. */
  private newest(state: CircleState): CircleState {
    const held = this.states.get(state.circle.id);
    if (!held) return state;
    const { head_seq, last, last_author, unread } = held;
    const told = head_seq > state.head_seq ? { head_seq, last, last_author, unread } : {};
    return { ...state, ...told, mute: later(held.mute, state.mute), draft: later(held.draft, state.draft) };
  }

  /** Memberships and unknown people are asked for once, not one by one. */
  private refreshSoon(): void {
    clearTimeout(this.refreshing);
    this.refreshing = setTimeout(() => {
      request<CirclesAnswer>('GET', '/circles').then(
        ({ circles }) => {
          const before = new Map(this.states);
          this.takeStates(circles.map((state) => this.newest(state)));
          // A circle that is not told of any more was left or closed to us.
          const gone = [...before.values()].filter(({ circle }) => !this.states.has(circle.id));
          const left = gone.map((state) => ({ ...this.circle(state), joined: false }));
          if (left.length > 0) this.emit({ update: 'circles', campus_id: this.id, circles: left });
          this.emit({ update: 'campus', campus: this.view() });
          this.emit({ update: 'timeline', campus_id: this.id, circle_id: null });
        },
        // Offline: the stream tells all of it again from its cursor, or the next snapshot does.
        () => undefined,
      );
    }, 300);
  }

  // ---- helpers

  private async fetchPage(id: string, query: string): Promise<void> {
    const page = await request<MessagesPage>('GET', `/circles/${id}/messages?${query}`);
    for (const person of page.people) this.people.set(person.id, person);
    const log = this.log(id);
    for (const message of [...page.context, ...page.messages]) {
      log.message(message);
      this.outbox.landed(message);
    }
    for (const reaction of page.reactions) log.reaction(reaction);
  }

  private isIn(id: string): boolean {
    return this.states.get(id)?.membership?.state === 'joined';
  }

  private log(id: string): CircleLog {
    const log = this.logs.get(id) ?? new CircleLog();
    this.logs.set(id, log);
    return log;
  }

  private circle(state: CircleState): CircleView {
    const id = state.circle.id;
    const waiting = this.outbox.entries.filter((entry) => entry.circle === id);
    const muted = this.mutes.get(id)?.state ?? state.mute?.on ?? false;
    const { text, reply_to } = this.draft(id);
    return circleView(this.asRead(state), this, waiting, { muted, draft: text !== '' || reply_to !== null });
  }

  /** What the person has read here counts as read, also while the relay does not know it. */
  private asRead(state: CircleState): CircleState {
    const seq = Math.min(this.markers.get(state.circle.id), state.head_seq);
    if (seq <= state.read_seq) return state;
    return { ...state, read_seq: seq, unread: Math.min(state.unread, state.head_seq - seq) };
  }

  private message(message: Message): MessageView {
    return messageView(message, this.log(message.circle_id), this, this.outbox.of(message.id));
  }

  private unsent(circle: string): MessageView[] {
    const log = this.log(circle);
    return this.outbox.entries
      .filter((entry) => entry.circle === circle && entry.work.op === 'post' && !log.get(entry.message))
      .map((entry) => this.unsentView(entry));
  }

  private unsentView(entry: Entry): MessageView {
    return unsentView(entry, this.log(entry.circle), this, this.outbox.refused(entry.circle));
  }
}

function problemOf(error: unknown): ConnectionProblem {
  if (!isFailure(error) || error.code === 'offline') return 'unreachable';
  return error.code === 'not_a_relay' ? 'not_a_relay' : 'relay_unavailable';
}

/** Of two states of one thing the later. */
function later<T extends { version: number }>(a: T | null, b: T | null): T | null {
  return (a?.version ?? 0) > (b?.version ?? 0) ? a : b;
}
