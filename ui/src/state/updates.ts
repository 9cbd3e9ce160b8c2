/** Brings every update to the state that it is about. */
import type { Update } from '../generated/Update';
import { campuses } from './campuses.svelte';
import { circles } from './circles.svelte';
import { opened } from './opened.svelte';
import { presence } from './presence.svelte';
import { typing } from './typing.svelte';
import { view } from './view.svelte';
import { words } from '../lib/failure';

const complain = (error: unknown): void => view.say(words(error));

export function applyUpdate(update: Update): void {
  switch (update.update) {
    case 'campuses':
      // Before anything is shown, why not stands there in full.
      campuses.load().catch((error: unknown) => campuses.loaded && complain(error));
      // Also told when updates were lost.
      typing.clear();
      void presence.ask();
      break;
    case 'campus':
      campuses.apply(update.campus);
      break;
    case 'circles':
      circles.apply(update.campus_id, update.circles);
      for (const { id, read_seq } of update.circles) {
        if (opened.shows(update.campus_id, id)) opened.timeline?.reads(read_seq);
      }
      break;
    case 'circles_gone':
      circles.drop(update.campus_id, update.circles);
      break;
    case 'messages':
      if (opened.shows(update.campus_id, update.circle_id)) {
        opened.timeline?.apply(update.messages, update.discarded);
      }
      break;
    case 'timeline':
      if (opened.shows(update.campus_id, update.circle_id)) opened.timeline?.refresh().catch(complain);
      if (update.circle_id === null && update.campus_id === circles.campusId) {
        circles.load(update.campus_id).catch(complain);
      }
      break;
    case 'draft':
      if (opened.shows(update.campus_id, update.circle_id)) opened.composer?.refresh().catch(complain);
      break;
    case 'typing':
      typing.apply(update.circle_id, update.people);
      break;
    case 'presence':
      presence.apply(update.campus_id, update.person_id, update.online);
      break;
    case 'notice':
      // The desktop shell shows it.
      break;
  }
}
