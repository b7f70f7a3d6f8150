/** The groups that a login form offers: select-group and default-select-group (reference protocol.md §4.2). */
export interface GroupOption {
  readonly value: string;
  readonly label: string;
}

export interface GroupMenu {
  readonly options: readonly GroupOption[];
  /** The option that means "no group"; ''  without one. */
  readonly defaultOption: string;
}

/** `group` or `group[Friendly name]`. */
export function parseGroup(text: string): GroupOption {
  const match = /^(.*?)\[(.*)\]\s*$/.exec(text);
  const value = (match ? (match[1] ?? '') : text).trim();
  const label = match?.[2]?.trim() ?? '';
  return { value, label: label || value };
}

/** The menu of a vhost. */
export function groupMenu(selectGroup: readonly string[], defaultOption: string): GroupMenu {
  return { options: selectGroup.map(parseGroup).filter(({ value }) => value !== ''), defaultOption };
}

/** The menu with the groups of a certificate before its own, those that it does not have. */
export function withGroups(menu: GroupMenu, groups: readonly string[]): GroupMenu {
  const added = groups.filter((group) => !menu.options.some(({ value }) => value === group));
  return { ...menu, options: [...added.map((value) => ({ value, label: value })), ...menu.options] };
}

/**
 * The group that a client means: a friendly name becomes its group (some AnyConnect versions send the label), the
 * default option becomes '' (no group). Unknown names are passed on; the back end decides.
 */
export function resolveGroup(menu: GroupMenu, proposed: string | null): string {
  if (proposed === null || proposed === '' || proposed === menu.defaultOption) return '';
  const known = menu.options.find(({ value, label }) => value === proposed || label === proposed);
  return known ? known.value : proposed;
}

/** Rows of the menu for a client that selected `group` ('' none): the selected one first, an unknown one never. */
export function menuRows(menu: GroupMenu, group: string): GroupOption[] {
  const selected = menu.options.find(({ value }) => value === group);
  const others = menu.options.filter((option) => option !== selected);
  return selected ? [selected, ...others] : others;
}
