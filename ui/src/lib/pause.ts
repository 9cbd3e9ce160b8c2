/** Between two pieces of work: what waits for the page's thread, such as keys and painting, comes first. */
export const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));
