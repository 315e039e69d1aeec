/** Platforms of conda packages that wqx makes environments for. */
export const platforms = ["linux-64", "linux-aarch64", "osx-64", "osx-arm64"] as const;
export type Platform = (typeof platforms)[number];
