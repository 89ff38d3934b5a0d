import { Global, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { KEY_GATEWAYS, type KeyGateways } from '../api-keys/key-gateway.js';
import { CallDirectory } from './call-directory.js';
import { ChargesService } from './charges.service.js';
import { GatewayAccount } from './entities/gateway-account.entity.js';
import { UsageQuarantine } from './entities/usage-quarantine.entity.js';
import { ALL_GATEWAYS, type Gateway } from './gateway.js';
import { GatewayAccountsService } from './gateway-accounts.service.js';
import { GATEWAY_PARTS } from './gateways.js';
import { IntakeService } from './intake.service.js';
import { QuarantineService } from './quarantine.service.js';
import { DifferencesService } from './differences.service.js';
import { QuarantineSweeper } from './quarantine.sweeper.js';

const PARTS = Object.values(GATEWAY_PARTS);

function keyGateways(gateways: Gateway[]): KeyGateways {
  return new Map(gateways.flatMap(({ name, keys }) => (keys === undefined ? [] : [[name, keys] as const])));
}

/** Global, because the module of API keys gets the gateways from here and imports nothing that is above it. */
@Global()
@Module({
  imports: [TypeOrmModule.forFeature([GatewayAccount, UsageQuarantine])],
  controllers: PARTS.map(({ controller }) => controller),
  providers: [
    ...PARTS.map(({ gateway }) => gateway),
    {
      provide: ALL_GATEWAYS,
      inject: PARTS.map(({ gateway }) => gateway),
      useFactory: (...gateways: Gateway[]) => gateways,
    },
    { provide: KEY_GATEWAYS, inject: [ALL_GATEWAYS], useFactory: keyGateways },
    CallDirectory,
    ChargesService,
    DifferencesService,
    GatewayAccountsService,
    IntakeService,
    QuarantineService,
    QuarantineSweeper,
  ],
  exports: [KEY_GATEWAYS],
})
export class IntegrationsModule {}
