/** How each verb's result is shown. */
import { said, type View } from './command.js';
import { bansJson, cookiesJson, iroutesJson, pointsJson, statusJson, usersJson } from './occtl-json.js';
import type { BanData, CookieData, StatusData, UserData } from './results.js';
import {
  bansText,
  cookiesText,
  cookieText,
  iroutesText,
  pointsText,
  statusText,
  userBlocksText,
  usersText,
} from './text.js';

export const statusView: View<StatusData> = { text: statusText, occtl: statusJson };
export const usersView: View<readonly UserData[]> = { text: usersText, occtl: usersJson };
export const userView: View<readonly UserData[]> = { text: userBlocksText, occtl: usersJson };
export const iroutesView: View<readonly UserData[]> = { text: iroutesText, occtl: iroutesJson };
export const sessionView: View<readonly CookieData[]> = { text: cookieText, occtl: cookiesJson };
export const bansView: View<readonly BanData[]> = {
  text: bansText,
  occtl: bansJson,
  select: (bans) => bans.filter(({ expires }) => expires !== 0),
};
export const pointsView: View<readonly BanData[]> = { text: pointsText, occtl: pointsJson };
export const reloadView: View<{ readonly needRestart: readonly string[] }> = said(({ needRestart }) =>
  ['Server reloaded', ...needRestart.map((name) => `  ${name} keeps its value until a restart`)].join('\n'),
);

export const allSessionsView: View<readonly CookieData[]> = { text: cookiesText, occtl: cookiesJson };
/** Those whose cookie is good. */
export const validSessionsView: View<readonly CookieData[]> = {
  ...allSessionsView,
  select: (cookies) => cookies.filter(({ state }) => state === 'authenticated'),
};
