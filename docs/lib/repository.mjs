/** Where the files lie that are not part of the site. */
export const REPOSITORY = 'https://github.com/compozy/compozy';
