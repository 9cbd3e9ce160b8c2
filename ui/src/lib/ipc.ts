/** Asks the desktop shell, which answers from the cache. Thin: one command for each intent. */
import { invoke } from '@tauri-apps/api/core';
import { listen } from '@tauri-apps/api/event';
import type { Update } from '../generated/Update';
import type { Circles } from './circles';

function ask<T>(command: string, args: Record<string, unknown> = {}): Promise<T> {
  return invoke<T>(`plugin:circles|${command}`, args);
}

export function ipcCircles(): Circles {
  return {
    can: { host: true, severalCampuses: true, search: true },
    subscribe(listener) {
      const stop = listen<Update>('circles://update', (event) => listener(event.payload));
      return () => void stop.then((unlisten) => unlisten());
    },
    onInvite(listener) {
      const take = (): void => {
        const invited: Promise<string | null> = ask('invited');
        // Without it the person can still paste the link.
        void invited.then((link) => link && listener(link), console.error);
      };
      const stop = listen('circles://invited', take);
      // One that came before this page listened waits there.
      void stop.then(take);
      return () => void stop.then((unlisten) => unlisten());
    },
    onNoticeClicked(listener) {
      interface About {
        campus_id: string;
        circle_id: string;
      }
      const stop = listen<About>('circles://notice-clicked', ({ payload }) =>
        listener(payload.campus_id, payload.circle_id),
      );
      return () => void stop.then((unlisten) => unlisten());
    },
    campuses: () => ask('campuses'),
    previewInvite: (link) => ask('preview_invite', { link }),
    join: (link, name) => ask('join', { link, name }),
    host: (campus_name, name, lan) => ask('host', { campus_name, name, lan }),
    demo: (name) => ask('demo', { name }),
    hosts: () => ask('hosts'),
    setLan: (campus, on) => ask('set_lan', { campus, on }),
    nearby: () => ask('nearby'),
    doctor: () => ask('doctor'),
    drawQr: (text) => ask('draw_qr', { text }),
    leaveCampus: (campus) => ask('leave_campus', { campus }),
    reconnect: (campus) => ask('reconnect', { campus }),
    putNoticesAside: (campus) => ask('put_notices_aside', { campus }),
    kept: (campus) => ask('kept', { campus }),
    stranded: (campus) => ask('stranded', { campus }),
    status: () => ask('status'),
    editProfile: (campus, name, hue) => ask('edit_profile', { campus, name, hue }),
    devices: (campus) => ask('devices', { campus }),
    revokeDevice: (campus, device) => ask('revoke_device', { campus, device }),
    createInvite: (campus, circle, device) => ask('create_invite', { campus, circle, device }),
    invites: (campus) => ask('invites', { campus }),
    revokeInvite: (campus, invite) => ask('revoke_invite', { campus, invite }),
    circles: (campus) => ask('circles', { campus }),
    createCircle: (campus, name, topic, access) => ask('create_circle', { campus, name, topic, access }),
    editCircle: (campus, circle, name, topic) => ask('edit_circle', { campus, circle, name, topic }),
    joinCircle: (campus, circle) => ask('join_circle', { campus, circle }),
    leaveCircle: (campus, circle) => ask('leave_circle', { campus, circle }),
    setMuted: (campus, circle, on) => ask('set_muted', { campus, circle, on }),
    people: (campus, circle, query) => ask('people', { campus, circle, query }),
    addMember: (campus, circle, person) => ask('add_member', { campus, circle, person }),
    removeMember: (campus, circle, person) => ask('remove_member', { campus, circle, person }),
    focus: (campus, circle) => ask('focus', { campus, circle }),
    presence: (campus, circle) => ask('presence', { campus, circle }),
    timeline: (campus, circle, anchor, limit) => ask('timeline', { campus, circle, anchor, limit }),
    fill: (campus, circle, from, to) => ask('fill', { campus, circle, from, to }),
    search: (campus, query, after, limit) => ask('search', { campus, query, after, limit }),
    firstSince: (campus, circle, at) => ask('first_since', { campus, circle, at }),
    send: (campus, circle, text, reply_to) => ask('send', { campus, circle, text, reply_to }),
    edit: (campus, circle, message, text) => ask('edit', { campus, circle, message, text }),
    delete: (campus, circle, message) => ask('delete', { campus, circle, message }),
    react: (campus, circle, message, emoji, on) => ask('react', { campus, circle, message, emoji, on }),
    retry: (campus, circle, message) => ask('retry', { campus, circle, message }),
    discard: (campus, circle, message) => ask('discard', { campus, circle, message }),
    markRead: (campus, circle, seq) => ask('mark_read', { campus, circle, seq }),
    draft: (campus, circle) => ask('draft', { campus, circle }),
    setDraft: (campus, circle, draft) => ask('set_draft', { campus, circle, draft }),
    typing: (campus, circle, on) => ask('typing', { campus, circle, on }),
  };
}
