/** Colours of code. Both have enough contrast for small text. */
export const CODE_THEMES = { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' };
