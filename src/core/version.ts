/** The tool's own name and version, as written into what it makes. A test holds it equal to package.json. */
export const producer = {name: 'gpd', version: '0.1.0'} as const;
