/** Where the person was last, so that the app opens there. Only a convenience: it may be missing or stale. */
const CAMPUS = 'circles.campus';
const circleKey = (campus: string): string => `circles.circle.${campus}`;

export const places = {
  campus: (): string | null => localStorage.getItem(CAMPUS),
  circle: (campus: string): string | null => localStorage.getItem(circleKey(campus)),
  rememberCampus: (campus: string): void => localStorage.setItem(CAMPUS, campus),
  rememberCircle: (campus: string, circle: string): void => localStorage.setItem(circleKey(campus), circle),
};
