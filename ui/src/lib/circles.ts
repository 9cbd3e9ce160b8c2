/**
 * The one interface between what is shown and who serves it.
 *
 * Two implementations: `ipc.ts` asks the desktop shell, which answers from the cache; `http.ts` asks the relay that served
 * the page, with the browser's own EventSource. Every intent rejects with a `Failure`.
 */
import type { Anchor } from '../generated/Anchor';
import type { CampusStatus } from '../generated/CampusStatus';
import type { CampusView } from '../generated/CampusView';
import type { CircleKind } from '../generated/CircleKind';
import type { CircleView } from '../generated/CircleView';
import type { DeviceView } from '../generated/DeviceView';
import type { DraftView } from '../generated/DraftView';
import type { HostView } from '../generated/HostView';
import type { Finding } from '../generated/Finding';
import type { KeptMessage } from '../generated/KeptMessage';
import type { InviteView } from '../generated/InviteView';
import type { MadeInviteView } from '../generated/MadeInviteView';
import type { MessageView } from '../generated/MessageView';
import type { NearbyView } from '../generated/NearbyView';
import type { NewInvite } from '../generated/NewInvite';
import type { PersonView } from '../generated/PersonView';
import type { QrView } from '../generated/QrView';
import type { SearchView } from '../generated/SearchView';
import type { StrandedView } from '../generated/StrandedView';
import type { TimelineView } from '../generated/TimelineView';
import type { Update } from '../generated/Update';

export interface Circles {
  /** What this implementation can do: the browser knows one campus, hosts nothing, and holds too little to search. */
  readonly can: { host: boolean; severalCampuses: boolean; search: boolean };

  /** Calls back with every update from now on; returns how to stop. */
  subscribe(listener: (update: Update) => void): () => void;

  /** Calls back with each invite link that Circles is opened with, now and later; returns how to stop. */
  onInvite(listener: (link: string) => void): () => void;

  /** Calls back with campus and circle when the person clicks on a notification of the system; returns how to stop. */
  onNoticeClicked(listener: (campus: string, circle: string) => void): () => void;

  // campuses
  /** If it rejects because of something that passes, the update `campuses` tells when to ask again. */
  campuses(): Promise<CampusView[]>;
  /** What an invite leads to, without using it up: a link, or in the app also a typed code. */
  previewInvite(link: string): Promise<InviteView>;
  join(link: string, name: string): Promise<CampusView>;
  /** Starts a relay in this app and joins it as its owner; `lan`: people on this network can join. Kept across restarts. */
  host(campusName: string, name: string, lan: boolean): Promise<CampusView>;
  /** The same with a campus full of real chat, to look around in. */
  demo(name: string): Promise<CampusView>;
  hosts(): Promise<HostView[]>;
  /** Lets people on this network join a campus that is hosted here, or no longer. */
  setLan(campus: string, on: boolean): Promise<void>;
  /** Relays that say they are on this network. Looks around for about a second. */
  nearby(): Promise<NearbyView[]>;
  /** What stands between this device and its relays. Takes some seconds. */
  doctor(): Promise<Finding[]>;
  /** A text as a QR code. */
  drawQr(text: string): Promise<QrView>;
  /** Forgets the campus on this device: cache, outbox and token. A hosted relay is stopped; its data stays on disk. */
  leaveCampus(campus: string): Promise<void>;
  /** Tries to connect at once. */
  reconnect(campus: string): Promise<void>;
  /** The person has seen what there is to tell of the campus (`renewal`, `absence`). */
  putNoticesAside(campus: string): Promise<void>;
  /** The messages that only this device has, because the relay lost them: by circle, at most the 500 newest. */
  kept(campus: string): Promise<KeptMessage[]>;
  /** What was not sent in circles that one is not in any more. `discard` gives it up. */
  stranded(campus: string): Promise<StrandedView[]>;
  status(): Promise<CampusStatus[]>;

  // oneself
  editProfile(campus: string, name: string, hue: number): Promise<void>;
  devices(campus: string): Promise<DeviceView[]>;
  revokeDevice(campus: string, device: string): Promise<void>;
  /** `circle`: who comes in joins it too. `device`: it adds one device to oneself instead. */
  createInvite(campus: string, circle: string | null, device: boolean): Promise<NewInvite>;
  /** Those that still admit: one's own, and for the campus's owner all. */
  invites(campus: string): Promise<MadeInviteView[]>;
  revokeInvite(campus: string, invite: string): Promise<void>;

  // circles
  /** Those that one is a member of, and open ones that one could join. */
  circles(campus: string): Promise<CircleView[]>;
  createCircle(campus: string, name: string, topic: string, access: CircleKind): Promise<CircleView>;
  editCircle(campus: string, circle: string, name: string, topic: string): Promise<void>;
  joinCircle(campus: string, circle: string): Promise<void>;
  leaveCircle(campus: string, circle: string): Promise<void>;
  /** On all of the person's devices: no notices but of what mentions them. */
  setMuted(campus: string, circle: string, on: boolean): Promise<void>;
  /** The members of a circle, or everyone in the campus; by name. `query` filters by name; at most 500. */
  people(campus: string, circle: string | null, query: string): Promise<PersonView[]>;
  addMember(campus: string, circle: string, person: string): Promise<void>;
  removeMember(campus: string, circle: string, person: string): Promise<void>;
  /** What the person looks at: it is caught up first. `null`: none. */
  focus(campus: string | null, circle: string | null): Promise<void>;
  /** The members of a circle who are online; nobody while there is no stream. The update `presence` tells what changes. */
  presence(campus: string, circle: string): Promise<string[]>;

  // messages
  /** At most `limit` numbers (200 at the most); what is held of them. */
  timeline(campus: string, circle: string, anchor: Anchor, limit: number): Promise<TimelineView>;
  /** Fetches what is missing in `from..=to`, nearest to `to` first, at most 200; the updates tell when it is there. */
  fill(campus: string, circle: string, from: number, to: number): Promise<void>;
  /**
   * Searches what is held: messages, people and circles. There is no wrong query. `after`: what `more` said, for older
   * messages; `limit`: messages, 200 at the most.
   */
  search(campus: string, query: string, after: string | null, limit: number): Promise<SearchView>;
  /** The number of the first message that was sent at this time or later; `null`: all are older. May have to fetch. */
  firstSince(campus: string, circle: string, at: number): Promise<number | null>;
  /** What stood in the composer: the circle's draft is empty from the same moment on. */
  send(campus: string, circle: string, text: string, replyTo: string | null): Promise<MessageView>;
  edit(campus: string, circle: string, message: string, text: string): Promise<void>;
  delete(campus: string, circle: string, message: string): Promise<void>;
  react(campus: string, circle: string, message: string, emoji: string, on: boolean): Promise<void>;
  /** Queues a failed message again. */
  retry(campus: string, circle: string, message: string): Promise<void>;
  /** Gives up an unsent message. */
  discard(campus: string, circle: string, message: string): Promise<void>;
  markRead(campus: string, circle: string, seq: number): Promise<void>;
  /** The update `draft` tells when another device of the person may have changed it. */
  draft(campus: string, circle: string): Promise<DraftView>;
  /** Kept at once, and told to the person's other devices when it has rested for two seconds. */
  setDraft(campus: string, circle: string, draft: DraftView): Promise<void>;
  /** One types, or has emptied the composer. To be called with every key: whoever serves tells the relay often enough. */
  typing(campus: string, circle: string, on: boolean): Promise<void>;
}
